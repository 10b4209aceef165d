-- The shop: what a mid-sized web shop's database looks like. Primary keys alone; indexes come after the data.
CREATE TABLE shop.categories (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
    parent_id int,
    slug varchar(80) NOT NULL,
    name varchar(120) NOT NULL
) ENGINE = InnoDB;

CREATE TABLE shop.products (
    id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    category_id int NOT NULL,
    sku varchar(40) NOT NULL,
    name varchar(200) NOT NULL,
    description text NOT NULL,
    price_cents int NOT NULL CHECK (price_cents > 0),
    active boolean NOT NULL DEFAULT true,
    attributes json NOT NULL
) ENGINE = InnoDB;

CREATE TABLE shop.inventory (
    product_id bigint NOT NULL,
    warehouse smallint NOT NULL,
    quantity int NOT NULL,
    updated_at datetime NOT NULL DEFAULT current_timestamp,
    PRIMARY KEY (product_id, warehouse)
) ENGINE = InnoDB;

CREATE TABLE shop.customers (
    id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    email varchar(200) NOT NULL,
    name varchar(200) NOT NULL,
    country char(2) NOT NULL,
    segment varchar(20) NOT NULL,
    created_at datetime NOT NULL
) ENGINE = InnoDB;

CREATE TABLE shop.sessions (
    id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    customer_id bigint,
    token char(32) NOT NULL,
    user_agent varchar(200) NOT NULL,
    started_at datetime NOT NULL,
    last_seen_at datetime NOT NULL
) ENGINE = InnoDB;

CREATE TABLE shop.orders (
    id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    customer_id bigint NOT NULL,
    status enum('pending', 'paid', 'shipped', 'delivered', 'cancelled', 'refunded') NOT NULL,
    total_cents bigint NOT NULL,
    currency char(3) NOT NULL DEFAULT 'EUR',
    channel varchar(10) NOT NULL,
    note varchar(200),
    placed_at datetime NOT NULL,
    updated_at datetime NOT NULL
) ENGINE = InnoDB;

CREATE TABLE shop.order_items (
    id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    order_id bigint NOT NULL,
    product_id bigint NOT NULL,
    quantity smallint NOT NULL,
    price_cents int NOT NULL
) ENGINE = InnoDB;

CREATE TABLE shop.payments (
    id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    order_id bigint NOT NULL,
    provider varchar(20) NOT NULL,
    reference varchar(60) NOT NULL,
    receipt varchar(20),
    amount_cents bigint NOT NULL,
    state varchar(20) NOT NULL,
    paid_at datetime
) ENGINE = InnoDB;

CREATE TABLE shop.reviews (
    id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    product_id bigint NOT NULL,
    customer_id bigint NOT NULL,
    rating smallint NOT NULL CHECK (rating BETWEEN 1 AND 5),
    body text NOT NULL,
    created_at datetime NOT NULL
) ENGINE = InnoDB;

CREATE TABLE shop.carts (
    id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    session_id bigint NOT NULL,
    content json NOT NULL,
    updated_at datetime NOT NULL
) ENGINE = InnoDB;

CREATE TABLE shop.events (
    id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    session_id bigint,
    kind varchar(20) NOT NULL,
    payload json NOT NULL,
    occurred_at datetime NOT NULL
) ENGINE = InnoDB;

-- stale-statistics, no-primary-key: its statistics are made by hand, once, and nobody gave it a key.
CREATE TABLE shop.price_history (
    product_id bigint NOT NULL,
    valid_from datetime NOT NULL,
    price_cents int NOT NULL
) ENGINE = InnoDB STATS_PERSISTENT = 1 STATS_AUTO_RECALC = 0;

CREATE TABLE shop.audit_log (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
    actor varchar(40) NOT NULL,
    action varchar(40) NOT NULL,
    subject varchar(80) NOT NULL,
    at datetime NOT NULL DEFAULT current_timestamp
) ENGINE = InnoDB;
