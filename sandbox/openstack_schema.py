"""Neutron's schema on sqlite; runs in Neutron's own environment: openstack_schema.py DATABASE.

`neutron-db-manage upgrade heads` can't run on sqlite, which does not alter constraints. So the schema comes from the models,
and the default rules of a new security group from the migration that brings them (c33da356b165).
"""

import importlib.util
import sys
from pathlib import Path

import neutron
import sqlalchemy
from neutron.db.migration.models import head

engine = sqlalchemy.create_engine(f"sqlite:///{sys.argv[1]}")
metadata = head.get_metadata()
metadata.create_all(engine)

versions = Path(neutron.__file__).parent / "db/migration/alembic_migrations/versions"
(path,) = versions.glob("*/expand/c33da356b165_*.py")
spec = importlib.util.spec_from_file_location("migration", path)
migration = importlib.util.module_from_spec(spec)
spec.loader.exec_module(migration)
with engine.begin() as connection:
    for rule in migration.default_template_rules:
        values = dict(rule)
        attributes = sqlalchemy.insert(metadata.tables["standardattributes"]).values(
            description=values.pop("description"), resource_type=migration.table_name
        )
        attribute = connection.execute(attributes).inserted_primary_key[0]
        connection.execute(sqlalchemy.insert(metadata.tables[migration.table_name]).values(standard_attr_id=attribute, **values))
