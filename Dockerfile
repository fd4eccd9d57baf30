# Serin's image: one static binary and the CA certificates.
# e2e/images builds the same without Docker; a test keeps the two alike.
ARG BASE=gcr.io/distroless/static:nonroot

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 GOOS=linux go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X main.version=${VERSION}" -o /out/serin ./cmd/serin

FROM ${BASE}
ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title=serin \
      org.opencontainers.image.source=https://github.com/serin-gitops/serin \
      org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${REVISION} \
      org.opencontainers.image.created=${CREATED}
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/serin /serin
WORKDIR /
# Writes nothing of its own image: run it with a read-only root file system and
# a volume for its cache.
USER 65532:65532
ENTRYPOINT ["/serin"]
