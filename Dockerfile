# syntax=docker/dockerfile:1
#   docker build --target cpu  -t whisperlive-hybrid .
#   docker build --target cuda -t whisperlive-hybrid:cuda .
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PATH=/opt/app/bin:$PATH
# libopus decodes live Opus packets; without it PyAV's own copy does.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libopus0 \
    && rm -rf /var/lib/apt/lists/*

# What the package depends on: a layer of its own, so that a change of our code does not install gigabytes again.
FROM base AS requirements
WORKDIR /src
COPY pyproject.toml ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
    > requirements.txt

FROM base AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY whisperlive_hybrid whisperlive_hybrid
RUN pip wheel --no-deps --wheel-dir /wheels .

FROM base AS install-cpu
RUN python -m venv /opt/app
COPY constraints.txt /src/
# torch without CUDA: a tenth of the size. It is needed for speaker diarization only.
RUN pip install -c /src/constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu torch torchaudio
COPY --from=requirements /src/requirements.txt /src/
RUN pip install -c /src/constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu \
    -r /src/requirements.txt
COPY --from=wheel /wheels /wheels
RUN pip install --no-deps /wheels/*.whl

FROM base AS install-cuda
RUN python -m venv /opt/app
COPY constraints.txt /src/
COPY --from=requirements /src/requirements.txt /src/
# CTranslate2 opens cuBLAS for CUDA 12 by name; the driver comes from the host.
RUN pip install -c /src/constraints.txt -r /src/requirements.txt "nvidia-cublas-cu12>=12.4"
COPY --from=wheel /wheels /wheels
RUN pip install --no-deps /wheels/*.whl

FROM base AS runtime
RUN useradd --uid 10001 --user-group --create-home whisperlive \
    && install --directory --owner=whisperlive --group=whisperlive /models \
    && install --directory --owner=whisperlive --group=whisperlive --mode=0700 /data
ENV APP_HOST=0.0.0.0 HTTP_PORT=8080 PORT_WHISPERLIVE=5050 MODEL_CACHE=/models HF_HOME=/models DATA_DIR=/data
WORKDIR /home/whisperlive
USER whisperlive
VOLUME ["/models", "/data"]
EXPOSE 8080 5050
STOPSIGNAL SIGTERM
# The first start may download a model; /health says 503 until it is loaded.
HEALTHCHECK --interval=15s --timeout=5s --start-period=15m --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['HTTP_PORT'] + '/health', timeout=4)"]
ENTRYPOINT ["whisperlive-hybrid"]
CMD ["serve"]

FROM runtime AS cuda
COPY --from=install-cuda /opt/app /opt/app
ARG PYTHON
ENV LD_LIBRARY_PATH=/opt/app/lib/python${PYTHON}/site-packages/nvidia/cublas/lib

FROM runtime AS cpu
COPY --from=install-cpu /opt/app /opt/app
