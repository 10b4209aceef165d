"""The test rig: real servers, fresh databases, empty stores, a scripted language model, a home of one's own."""
