# The gateway as an image: built on Debian 12, run on Debian 12's slim base as nobody in
# particular, with nothing but the libraries it links.
#
#   docker build -t callgate .
#   docker run -e CALLGATE_DATABASE_URL=postgresql://… -p 8080:8080 callgate
FROM docker.io/library/debian:bookworm-slim AS build
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
	gcc libc6-dev cmake ninja-build pkgconf libmicrohttpd-dev libjansson-dev libpq-dev \
	libcurl4-openssl-dev uuid-dev libssl-dev
WORKDIR /callgate
COPY . .
RUN cmake --preset release && cmake --build --preset release && \
	DESTDIR=/out cmake --install build/release --prefix /usr --strip

FROM docker.io/library/debian:bookworm-slim
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
	libmicrohttpd12 libjansson4 libpq5 libcurl4 libuuid1 libssl3 ca-certificates && \
	rm -rf /var/lib/apt/lists/* /var/cache/apt/* && \
	useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent \
		--shell /usr/sbin/nologin callgate
COPY --from=build /out/usr /usr
USER 10001:10001
ENV CALLGATE_LISTEN=0.0.0.0:8080
EXPOSE 8080
# Ready, not merely alive: database, schema and scheduler.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["callgate", "health"]
ENTRYPOINT ["callgate"]
CMD ["serve", "--migrate"]
