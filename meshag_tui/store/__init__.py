"""What MeshAG remembers: models, migrations, snapshots as deltas, history, advice, executions, secrets, retention.

Every function of this package is plain and synchronous and works on the store that is bound; `database.Store` runs it
in the store's own thread. Nothing here talks to a monitored database.
"""

from meshag_tui.store.drivers import leave_out

leave_out()
