# xcompat on the CPU, with a TTS that was run with it (the extra `xtts`). The model is mounted:
#   docker build -t xcompat .
#   docker run --rm -v /path/to/XTTS-v2:/model:ro -v "$PWD/out:/out" xcompat convert /model -o /out/model
#   docker run --rm --network none -v "$PWD/out:/out" xcompat smoke /out/model -o /out/hello.wav
FROM python:3.11-slim-bookworm AS build
COPY . /source
RUN python -m venv /opt/xcompat \
 && /opt/xcompat/bin/pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
      "torch==2.8.0+cpu" "torchaudio==2.8.0+cpu" "/source[xtts]"

FROM python:3.11-slim-bookworm
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libsndfile1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 10001 speaker \
 && install --directory --owner speaker /out
COPY --from=build /opt/xcompat /opt/xcompat
ENV PATH=/opt/xcompat/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER speaker
WORKDIR /out
ENTRYPOINT ["xcompat"]
CMD ["doctor"]
