# syntax=docker/dockerfile:1

FROM node:20-alpine AS web
WORKDIR /src/web
COPY web/package.json web/package-lock.json ./
COPY web/shared/package.json shared/
COPY web/console/package.json console/
COPY web/widget/package.json widget/
COPY web/demo/package.json demo/
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund
COPY web/ ./
RUN npm run build

FROM golang:1.26-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
COPY --from=web /src/web/dist web/dist
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/omniservice ./cmd/omniservice \
    && mkdir /out/data

# Holds certificates, time zones and a user without rights (65532), and no shell.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/omniservice /omniservice
COPY --from=build --chown=65532:65532 --chmod=0700 /out/data /data
ENV OMNI_DATA_DIR=/data
# The only path that is written to; the root file system may be read-only.
VOLUME /data
EXPOSE 8080
# Asks /readyz on OMNI_OPS_ADDR from inside, so that the address can stay on loopback.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 CMD ["/omniservice", "healthcheck"]
ENTRYPOINT ["/omniservice"]
CMD ["serve"]
