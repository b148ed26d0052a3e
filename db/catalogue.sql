-- What the catalogues hold about the objects of this service: one row per
-- object, with its name and the lines that describe it.
--
-- The format is the same on every server from 15 on. So it consists of the
-- server's own descriptions (pg_get_...def, pg_identify_object), privileges are
-- given as differences from those that the owner and PUBLIC have by default,
-- and what a server keeps for itself (TOAST tables, row types, NOT NULL as a
-- constraint, options named pg_...) is left out.

WITH RECURSIVE ours AS (
    SELECT schema.oid
    FROM pg_namespace AS schema
    WHERE schema.nspname IN ('ticketing', 'ticketing_private')
),
-- Everything in the schemas, of whatever kind, and everything that belongs to it.
object (classid, objid) AS (
    SELECT 'pg_namespace'::regclass::oid, ours.oid
    FROM ours
    UNION
    SELECT part.classid, part.objid
    FROM object AS whole
    JOIN pg_depend AS part ON part.refclassid = whole.classid AND part.refobjid = whole.objid
    WHERE part.deptype = 'a'
        OR part.deptype = 'n' AND part.refclassid = 'pg_namespace'::regclass
        OR part.deptype = 'i' AND part.classid = 'pg_class'::regclass
),
described (classid, objid, objsubid, owner, acl_kind, acl, definition) AS (
    SELECT 'pg_namespace'::regclass::oid, oid, 0, nspowner, 'n', nspacl, NULL
    FROM pg_namespace
    WHERE oid IN (TABLE ours)

    UNION ALL

    SELECT
        'pg_class'::regclass,
        relation.oid,
        0,
        relation.relowner,
        CASE relation.relkind WHEN 'S' THEN 's' ELSE 'r' END,
        relation.relacl,
        concat_ws(
            E'\n',
            CASE
                WHEN relation.relkind IN ('v', 'm') THEN (
                    -- 15 qualifies each column of a view of a single table, 16 does not.
                    SELECT replace(
                        pg_get_viewdef(relation.oid),
                        coalesce(min(quote_ident(source.relname)), '') || '.',
                        CASE WHEN count(DISTINCT source.oid) = 1 THEN '' ELSE '.' END
                    )
                    FROM pg_rewrite AS rule
                    JOIN pg_depend AS use
                        ON use.classid = 'pg_rewrite'::regclass AND use.objid = rule.oid
                    JOIN pg_class AS source
                        ON use.refclassid = 'pg_class'::regclass
                        AND source.oid = use.refobjid
                        AND source.oid <> relation.oid
                    WHERE rule.ev_class = relation.oid
                )
                WHEN relation.relkind IN ('i', 'I') THEN (
                    SELECT concat_ws(
                        E'\n',
                        pg_get_indexdef(relation.oid),
                        CASE WHEN NOT index.indisvalid THEN 'INVALID' END
                    )
                    FROM pg_index AS index
                    WHERE index.indexrelid = relation.oid
                )
                WHEN relation.relkind = 'S' THEN (
                    SELECT (to_jsonb(sequence) - 'seqrelid' - 'seqtypid')::text
                        || format_type(sequence.seqtypid, NULL)
                    FROM pg_sequence AS sequence
                    WHERE sequence.seqrelid = relation.oid
                )
                ELSE (
                    SELECT '(' || string_agg(quote_ident(attname), ', ' ORDER BY attnum) || ')'
                    FROM pg_attribute
                    WHERE attrelid = relation.oid AND attnum > 0 AND NOT attisdropped
                )
            END,
            'PARTITION BY ' || pg_get_partkeydef(relation.oid),
            pg_get_expr(relation.relpartbound, relation.oid),
            (
                SELECT 'INHERITS ' || string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno)
                FROM pg_inherits
                WHERE inhrelid = relation.oid
            ),
            (
                SELECT 'USING ' || amname
                FROM pg_am
                WHERE oid = relation.relam AND relation.relkind NOT IN ('i', 'I')
            ),
            'TABLESPACE ' || (SELECT spcname FROM pg_tablespace WHERE oid = reltablespace),
            'WITH ' || (
                SELECT string_agg(option, ', ' ORDER BY option)
                FROM unnest(
                    relation.reloptions
                    || ARRAY(
                        SELECT 'toast.' || option
                        FROM pg_class AS toast, unnest(toast.reloptions) AS option
                        WHERE toast.oid = relation.reltoastrelid
                    )
                ) AS option
                WHERE option NOT LIKE 'pg\_%' AND option NOT LIKE 'toast.pg\_%'
            ),
            CASE relation.relpersistence WHEN 'u' THEN 'UNLOGGED' WHEN 't' THEN 'TEMPORARY' END,
            CASE WHEN relation.relrowsecurity THEN 'ENABLE ROW LEVEL SECURITY' END,
            CASE WHEN relation.relforcerowsecurity THEN 'FORCE ROW LEVEL SECURITY' END,
            CASE relation.relreplident
                WHEN 'f' THEN 'REPLICA IDENTITY FULL'
                WHEN 'i' THEN 'REPLICA IDENTITY USING INDEX'
                WHEN 'n' THEN CASE WHEN relation.relkind IN ('r', 'p') THEN 'REPLICA IDENTITY NOTHING' END
            END,
            -- ALTER TABLE ... DISABLE TRIGGER ALL: foreign keys are no longer enforced.
            (
                SELECT string_agg(
                    'DISABLE TRIGGER of the constraint ' || quote_ident(conname),
                    E'\n' ORDER BY conname, tgtype
                )
                FROM pg_trigger
                JOIN pg_constraint ON pg_constraint.oid = tgconstraint
                WHERE tgrelid = relation.oid AND tgisinternal AND tgenabled <> 'O'
            )
        )
    FROM pg_class AS relation
    WHERE relation.relnamespace IN (TABLE ours)

    UNION ALL

    SELECT
        'pg_class'::regclass,
        relation.oid,
        attribute.attnum,
        relation.relowner,
        'c',
        attribute.attacl,
        concat_ws(
            ' ',
            format_type(attribute.atttypid, attribute.atttypmod),
            CASE
                WHEN attribute.attcollation <> type.typcollation
                    THEN 'COLLATE ' || attribute.attcollation::regcollation
            END,
            CASE WHEN attribute.attnotnull THEN 'NOT NULL' END,
            CASE attribute.attgenerated
                WHEN 's' THEN 'GENERATED ALWAYS STORED AS'
                WHEN 'v' THEN 'GENERATED ALWAYS VIRTUAL AS'
                ELSE CASE WHEN attribute.atthasdef THEN 'DEFAULT' END
            END,
            pg_get_expr(initial.adbin, initial.adrelid),
            CASE attribute.attidentity
                WHEN 'a' THEN 'GENERATED ALWAYS AS IDENTITY'
                WHEN 'd' THEN 'GENERATED BY DEFAULT AS IDENTITY'
            END,
            CASE
                WHEN attribute.attstorage <> type.typstorage
                    THEN 'STORAGE "' || attribute.attstorage::text || '"'
            END,
            'COMPRESSION "' || nullif(attribute.attcompression::text, '') || '"',
            -- Unset is -1 up to 16, and NULL from 17 on.
            'STATISTICS ' || nullif(attribute.attstattarget, -1),
            -- The two that PostgreSQL documents: a server may keep others for itself.
            'WITH ' || (
                SELECT string_agg(option, ', ' ORDER BY option)
                FROM unnest(attribute.attoptions) AS option
                WHERE split_part(option, '=', 1) IN ('n_distinct', 'n_distinct_inherited')
            )
        )
    FROM pg_class AS relation
    JOIN pg_attribute AS attribute ON attribute.attrelid = relation.oid
    JOIN pg_type AS type ON type.oid = attribute.atttypid
    LEFT JOIN pg_attrdef AS initial
        ON initial.adrelid = attribute.attrelid AND initial.adnum = attribute.attnum
    WHERE relation.relnamespace IN (TABLE ours)
        AND relation.relkind NOT IN ('i', 'I', 'S')
        AND attribute.attnum > 0
        AND NOT attribute.attisdropped

    UNION ALL

    SELECT
        'pg_proc'::regclass,
        oid,
        0,
        proowner,
        'f',
        proacl,
        CASE WHEN prokind <> 'a' THEN pg_get_functiondef(oid) END
    FROM pg_proc
    WHERE pronamespace IN (TABLE ours)

    UNION ALL

    SELECT
        'pg_type'::regclass,
        type.oid,
        0,
        type.typowner,
        'T',
        type.typacl,
        concat_ws(
            ' ',
            type.typtype::text,
            format_type(nullif(type.typbasetype, 0), type.typtypmod),
            CASE WHEN type.typnotnull THEN 'NOT NULL' END,
            'DEFAULT ' || type.typdefault,
            (
                SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)
                FROM pg_enum
                WHERE enumtypid = type.oid
            )
        )
    FROM object
    JOIN pg_type AS type ON type.oid = object.objid
    WHERE object.classid = 'pg_type'::regclass

    UNION ALL

    SELECT
        'pg_default_acl'::regclass,
        oid,
        0,
        defaclrole,
        CASE
            WHEN defaclnamespace <> 0 THEN 'c'
            WHEN defaclobjtype = 'S' THEN 's'
            ELSE defaclobjtype::text
        END,
        defaclacl,
        NULL
    FROM pg_default_acl
    WHERE defaclrole = to_regrole('ticketing_owner') OR defaclnamespace IN (TABLE ours)

    UNION ALL

    -- Objects without an owner or privileges of their own, and any other kind of
    -- object: this build has none of the latter, so their existence says enough.
    SELECT
        object.classid,
        object.objid,
        0,
        NULL,
        NULL,
        NULL,
        CASE object.classid
            WHEN 'pg_constraint'::regclass THEN pg_get_constraintdef(object.objid)
            WHEN 'pg_statistic_ext'::regclass THEN pg_get_statisticsobjdef(object.objid)
            WHEN 'pg_rewrite'::regclass THEN (
                SELECT concat_ws(E'\n', pg_get_ruledef(oid), 'ENABLED ' || ev_enabled::text)
                FROM pg_rewrite
                WHERE oid = object.objid
            )
            WHEN 'pg_trigger'::regclass THEN (
                SELECT concat_ws(E'\n', pg_get_triggerdef(oid), 'ENABLED ' || tgenabled::text)
                FROM pg_trigger
                WHERE oid = object.objid
            )
            WHEN 'pg_policy'::regclass THEN (
                SELECT concat_ws(
                    E'\n',
                    'FOR ' || polcmd::text,
                    CASE WHEN polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                    'TO ' || polroles::regrole[]::text,
                    'USING ' || pg_get_expr(polqual, polrelid),
                    'WITH CHECK ' || pg_get_expr(polwithcheck, polrelid)
                )
                FROM pg_policy
                WHERE oid = object.objid
            )
        END
    FROM object
    LEFT JOIN pg_constraint AS rule
        ON object.classid = 'pg_constraint'::regclass AND rule.oid = object.objid
    WHERE object.classid NOT IN (
            'pg_namespace'::regclass,
            'pg_class'::regclass,
            'pg_attrdef'::regclass,
            'pg_proc'::regclass,
            'pg_type'::regclass,
            'pg_default_acl'::regclass,
            -- Replicating a table does not change it.
            'pg_publication_rel'::regclass,
            'pg_publication_namespace'::regclass
        )
        -- From 18 on each NOT NULL is a constraint too, named by the server.
        AND (rule.oid IS NULL OR rule.contype <> 'n' OR NOT rule.convalidated OR rule.connoinherit)
        AND NOT EXISTS (
            SELECT
            FROM pg_trigger
            WHERE object.classid = 'pg_trigger'::regclass AND oid = object.objid AND tgisinternal
        )
)
SELECT
    CASE described.classid
        WHEN 'pg_proc'::regclass THEN 'FUNCTION ' || described.objid::regprocedure
        ELSE upper(named.type) || ' ' || named.identity
    END,
    string_to_array(nullif(described.definition, ''), E'\n')
        || ARRAY(
            SELECT 'OWNER TO ' || pg_get_userbyid(described.owner)
            WHERE described.owner IS NOT NULL AND described.objsubid = 0
        )
        || ARRAY(
            SELECT concat(
                CASE WHEN changed.granted THEN 'GRANT ' ELSE 'REVOKE ' END,
                changed.privilege_type,
                CASE WHEN changed.granted THEN ' TO ' ELSE ' FROM ' END,
                grantee.name,
                CASE WHEN changed.is_grantable THEN ' WITH GRANT OPTION' END,
                CASE
                    WHEN changed.grantor <> described.owner
                        THEN ' GRANTED BY ' || pg_get_userbyid(changed.grantor)
                END
            )
            FROM (
                SELECT true AS granted, privilege.*
                FROM (
                    SELECT * FROM aclexplode(described.acl)
                    EXCEPT
                    SELECT * FROM aclexplode(acldefault(described.acl_kind::"char", described.owner))
                ) AS privilege
                UNION ALL
                SELECT false, privilege.*
                FROM (
                    SELECT * FROM aclexplode(acldefault(described.acl_kind::"char", described.owner))
                    EXCEPT
                    SELECT * FROM aclexplode(described.acl)
                ) AS privilege
                WHERE described.acl IS NOT NULL
            ) AS changed
            CROSS JOIN LATERAL (
                SELECT CASE changed.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(changed.grantee) END
            ) AS grantee (name)
            ORDER BY grantee.name COLLATE "C", changed.privilege_type, changed.granted
        )
        || string_to_array('COMMENT ' || comment.description, E'\n')
FROM described
CROSS JOIN pg_identify_object(described.classid, described.objid, described.objsubid) AS named
LEFT JOIN pg_description AS comment
    ON comment.classoid = described.classid
    AND comment.objoid = described.objid
    AND comment.objsubid = described.objsubid
WHERE named.identity IS NOT NULL;  -- dropped just now
