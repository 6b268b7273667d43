-- uuid-ossp without libossp-uuid, which the packaged server lacks. Version 1 is built on random node bits
-- instead of a network address.

create function uuid_nil() returns uuid language sql immutable strict parallel safe
as $$ select '00000000-0000-0000-0000-000000000000'::uuid $$;
create function uuid_ns_dns() returns uuid language sql immutable strict parallel safe
as $$ select '6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid $$;
create function uuid_ns_url() returns uuid language sql immutable strict parallel safe
as $$ select '6ba7b811-9dad-11d1-80b4-00c04fd430c8'::uuid $$;
create function uuid_ns_oid() returns uuid language sql immutable strict parallel safe
as $$ select '6ba7b812-9dad-11d1-80b4-00c04fd430c8'::uuid $$;
create function uuid_ns_x500() returns uuid language sql immutable strict parallel safe
as $$ select '6ba7b814-9dad-11d1-80b4-00c04fd430c8'::uuid $$;

create function uuid_generate_v1() returns uuid language plpgsql volatile strict parallel safe as $$
declare
  -- 100 ns intervals since 1582-10-15, the epoch of version 1.
  v_time text := lpad(to_hex((extract(epoch from clock_timestamp()) * 10000000)::bigint + 122192928000000000), 16, '0');
  v_tail text := substr(replace(gen_random_uuid()::text, '-', ''), 17, 16);
begin
  return (substr(v_time, 9, 8) || substr(v_time, 5, 4) || '1' || substr(v_time, 2, 3) || v_tail)::uuid;
end
$$;
create function uuid_generate_v1mc() returns uuid language sql volatile strict parallel safe
as $$ select @extschema@.uuid_generate_v1() $$;
create function uuid_generate_v4() returns uuid language sql volatile strict parallel safe
as $$ select pg_catalog.gen_random_uuid() $$;

create function uuid_generate_v3(namespace uuid, name text) returns uuid
language plpgsql immutable strict parallel safe as $$
declare
  v_hash bytea := decode(md5(uuid_send(namespace) || convert_to(name, 'UTF8')), 'hex');
begin
  v_hash := set_byte(v_hash, 6, (get_byte(v_hash, 6) & 15) | 48);
  v_hash := set_byte(v_hash, 8, (get_byte(v_hash, 8) & 63) | 128);
  return encode(v_hash, 'hex')::uuid;
end
$$;

create function uuid_generate_v5(namespace uuid, name text) returns uuid
language plpgsql immutable strict parallel safe as $$
declare
  -- SHA-1 is not in core; pgcrypto always stands beside this extension on the platform.
  v_hash bytea := substr(extensions.digest(uuid_send(namespace) || convert_to(name, 'UTF8'), 'sha1'), 1, 16);
begin
  v_hash := set_byte(v_hash, 6, (get_byte(v_hash, 6) & 15) | 80);
  v_hash := set_byte(v_hash, 8, (get_byte(v_hash, 8) & 63) | 128);
  return encode(v_hash, 'hex')::uuid;
end
$$;
