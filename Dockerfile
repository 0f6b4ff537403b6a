# Builds holdfast and puts it into a small image that runs it as an unprivileged user.
#
#   docker build -t holdfast .
#   docker run --rm -v /srv/data:/data:ro -v /srv/repository:/repository -v /etc/holdfast/password:/run/password:ro \
#       -e HOLDFAST_REPO=/repository -e HOLDFAST_PASSWORD_FILE=/run/password holdfast backup dir:/data
#
# The directory of the repository must belong to user 65532, and that user must be able to read the data
# and the password.

FROM swift:6.3-bookworm AS build
WORKDIR /source
# The packages change less often than the sources, so they have a layer of their own.
COPY scripts/setup scripts/setup
RUN scripts/setup --build
COPY Package.swift ./
COPY Sources Sources
COPY Tests Tests
RUN swift build --configuration release --static-swift-stdlib --product holdfast \
    && install -D --strip "$(swift build --configuration release --static-swift-stdlib --show-bin-path)/holdfast" \
        /image/usr/local/bin/holdfast \
    && install -d --owner 65532 --group 65532 /image/home/holdfast

FROM debian:bookworm-slim
# A test compares this list with the libraries that the program loads. Their versions are those of the distribution's
# release, which gets security fixes only: pinning them would pin the holes.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates libarchive13 libhpdf-2.3.0 libpq5 libqrencode4 libsodium23 libsqlite3-0 libssl3 libzstd1 \
        tzdata zlib1g \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /image/ /
USER 65532:65532
WORKDIR /home/holdfast
ENV HOME=/home/holdfast
HEALTHCHECK --interval=60s --timeout=5s --retries=3 CMD ["holdfast", "--version"]
ENTRYPOINT ["holdfast"]
