# Two images: the service (the default) and, as target `loadtest`, Locust with the load test.
# Both copy only the finished environment from a build stage: no sources, no cache, no compiler.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
WORKDIR /src
COPY setup.py pyproject.toml constraints.txt README.md LICENSE ./
COPY api api
COPY db db
RUN pip install --no-cache-dir -c constraints.txt .


FROM build AS build-loadtest
RUN pip install --no-cache-dir -c constraints.txt locust


FROM python:3.13-slim AS run
# By number, because Kubernetes' runAsNonRoot cannot check a name.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin ticketing
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
STOPSIGNAL SIGTERM


FROM run AS loadtest
WORKDIR /loadtest
# `import loadtests` must find the package, which is not installed.
ENV PYTHONPATH=/loadtest
COPY --from=build-loadtest /venv /venv
COPY loadtests loadtests
EXPOSE 8089
ENTRYPOINT ["locust", "--locustfile", "loadtests/onsale/locustfile.py"]


FROM run AS service
COPY --from=build /venv /venv
# The user has no write access, on purpose: without DATABASE_URL the service fails to start, instead
# of keeping tickets in an embedded database that disappears with the container.
ENV HOST=0.0.0.0 PORT=3000 LOG_FORMAT=json
EXPOSE 3000
# /livez, not /readyz: a database that is down is no reason to restart the container.
# Without proxies, because Docker can be configured to pass http_proxy to every container.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['PORT'] + '/livez', timeout=2)"]
ENTRYPOINT ["ticket-allocation"]
CMD ["serve"]
