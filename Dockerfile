# For the CPU:   docker build -t retune .
# For CUDA:      docker build -t retune --build-arg ACCELERATOR=cuda .
# Run the chain: docker run --name run retune           (with CUDA: docker run --gpus all --name run retune)
# Its results:   docker cp run:/retune/reports reports
ARG ACCELERATOR=cpu

FROM python:3.11-slim AS base
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --no-install-recommends --yes git make && rm -rf /var/lib/apt/lists/*
WORKDIR /retune

FROM base AS cpu
ENV REQUIREMENTS=requirements.txt PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu

FROM base AS cuda
ENV REQUIREMENTS=requirements-gpu.txt

FROM ${ACCELERATOR}
WORKDIR /retune
COPY Makefile requirements.txt requirements-gpu.txt ./
RUN make ".venv/installed-${REQUIREMENTS}"
COPY . .
CMD ["make", "repro"]
