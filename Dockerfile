# The server of a model (docs/serving.md). Its steps of installation are those of the README.
#
#   docker build --build-arg TORCH_INDEX=ADDRESS -t marey .        CPU; ADDRESS: that of the README
#   docker build --build-arg TORCH_BUILD=cuda -t marey:cuda .      CUDA
#   docker run --read-only --tmpfs /tmp -v FOLDER:/model:ro -p 127.0.0.1:8000:8000 marey
ARG TORCH_BUILD=cpu

FROM python:3.12-slim AS base
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin marey
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY marey marey

FROM base AS cpu
ARG TORCH_INDEX
RUN pip install "torch==2.13.0+cpu" --index-url "$TORCH_INDEX" && pip install -c constraints.txt ".[deploy]"

FROM base AS cuda
RUN pip install -c constraints.txt ".[deploy]"

FROM ${TORCH_BUILD}
USER marey
WORKDIR /
# what is kept (`marey cache`) goes with the container
ENV MAREY_CACHE=/tmp/marey
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as of; of.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
ENTRYPOINT ["marey", "serve"]
# other machines reach it as far as -p lets them; give MAREY_TOKEN where they do
CMD ["/model", "--host", "0.0.0.0"]
