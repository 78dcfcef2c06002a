-- Version 1. An administrator may have made the schema and given it to the gateway's role.
DO $$
BEGIN
    IF to_regnamespace('monday_gateway') IS NULL THEN
        CREATE SCHEMA monday_gateway;
    END IF;
END
$$;

CREATE TABLE monday_gateway.schema_version (version int NOT NULL);
INSERT INTO monday_gateway.schema_version VALUES (0);

-- Keys sort as bytes do, in every store.
CREATE TABLE monday_gateway.records (
    tbl text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    expires bigint,
    sealed bytea NOT NULL,
    PRIMARY KEY (tbl, key)
);
ALTER TABLE monday_gateway.records ALTER COLUMN sealed SET STORAGE EXTERNAL; -- what is sealed does not compress
CREATE INDEX records_expiry ON monday_gateway.records (expires) WHERE expires IS NOT NULL;

-- Versions of all records, so that none is given twice for a key that was removed.
CREATE SEQUENCE monday_gateway.versions;

-- Unix milliseconds, now (not at the transaction's beginning).
CREATE FUNCTION monday_gateway.now_ms() RETURNS bigint LANGUAGE sql VOLATILE
    AS $$ SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;

-- Tells the gateways. The tables are those of which copies are kept.
CREATE FUNCTION monday_gateway.tell(a_tbl text, a_key text, origin text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF a_tbl IN ('grants', 'installs') THEN
        PERFORM pg_notify('monday_gateway', origin || '/' || a_tbl || '/' || a_key);
    END IF;
END
$$;

-- Waits for whoever writes this key; each statement after it sees what he has committed.
CREATE FUNCTION monday_gateway.hold(a_tbl text, a_key text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(a_tbl || '/' || a_key, 7235421));
END
$$;

-- Whether what is there is what is expected: -1 anything, 0 nothing, else this version.
CREATE FUNCTION monday_gateway.is_there(a_tbl text, a_key text, expected bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    there bigint;
BEGIN
    IF expected = -1 THEN
        RETURN true;
    END IF;
    SELECT r.version INTO there FROM monday_gateway.records r
        WHERE r.tbl = a_tbl AND r.key = a_key AND (r.expires IS NULL OR r.expires > monday_gateway.now_ms());
    RETURN coalesce(there, 0) = expected;
END
$$;

-- The version that was written; null for a conflict.
CREATE FUNCTION monday_gateway.put(
    a_tbl text, a_key text, a_sealed bytea, lifetime bigint, expected bigint, origin text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
    ends bigint;
BEGIN
    PERFORM monday_gateway.hold(a_tbl, a_key);
    IF NOT monday_gateway.is_there(a_tbl, a_key, expected) THEN
        RETURN NULL;
    END IF;
    made := nextval('monday_gateway.versions');
    IF lifetime > 0 THEN
        ends := monday_gateway.now_ms() + lifetime;
    END IF;
    INSERT INTO monday_gateway.records AS r VALUES (a_tbl, a_key, made, ends, a_sealed)
        ON CONFLICT (tbl, key) DO UPDATE SET version = made, expires = ends, sealed = excluded.sealed;
    PERFORM monday_gateway.tell(a_tbl, a_key, origin);
    RETURN made;
END
$$;

-- What was there and is not any more. What had expired was not there.
CREATE FUNCTION monday_gateway.take(a_tbl text, a_key text, wanted bigint, origin text)
RETURNS SETOF monday_gateway.records LANGUAGE plpgsql AS $$
DECLARE
    taken monday_gateway.records;
BEGIN
    PERFORM monday_gateway.hold(a_tbl, a_key);
    IF NOT monday_gateway.is_there(a_tbl, a_key, wanted) THEN
        RETURN;
    END IF;
    DELETE FROM monday_gateway.records r
        WHERE r.tbl = a_tbl AND r.key = a_key AND (r.expires IS NULL OR r.expires > monday_gateway.now_ms())
        RETURNING r.* INTO taken;
    IF FOUND THEN
        PERFORM nextval('monday_gateway.versions');
        PERFORM monday_gateway.tell(a_tbl, a_key, origin);
        RETURN NEXT taken;
    END IF;
END
$$;
