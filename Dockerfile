# One image, several commands: docker-compose.yml says which container runs which.

FROM python:3.11.15-slim-bookworm AS packages
COPY requirements.txt /
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: --requirement /requirements.txt

FROM python:3.11.15-slim-bookworm
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=config.settings \
    DATA_DIR=/data
# A new volume takes owner and mode from the folder that it covers.
RUN groupadd --gid 10001 engine \
    && useradd --uid 10001 --gid engine --no-create-home --shell /usr/sbin/nologin engine \
    && install --directory --owner engine --group engine --mode 700 /data
COPY --from=packages /venv /venv
WORKDIR /engine
# What is in the context is a list in .dockerignore: no secret gets here by being forgotten there.
COPY . .
RUN python -m compileall -q .
USER 10001:10001
EXPOSE 8000 8001 5555
CMD ["python", "-m", "config.web", "--bind", "0.0.0.0", "--port", "8000"]
