# The three programs, an image each: docker build --target ws-server .
#
# Nothing but the executable stands on a base that has glibc and no shell. It runs as a user without rights, and needs
# no file system to write to. docs/operations.md says which parts of this file have been run, and how.

FROM denoland/deno:2.9.6 AS build
WORKDIR /solo
COPY deno.json deno.lock main_ws.ts main_tasks.ts cli.ts ./
COPY lib lib
COPY tools/compile.ts tools/
RUN deno task compile

FROM gcr.io/distroless/cc-debian12:nonroot AS ws-server
COPY --from=build /solo/ws-server /usr/local/bin/
# Other machines connect: node is the transport for that. The program derives the number of connections from the descriptor
# limit by getconf, which is not here; raise both together.
ENV SOLO_HOST=0.0.0.0 SOLO_TRANSPORT=node SOLO_MAX_CONNECTIONS=10000
EXPOSE 8880
# asks /readyz on SOLO_PORT: change the port by that variable, not by a flag
HEALTHCHECK --interval=5s --timeout=4s --start-period=10s CMD ["ws-server", "health"]
ENTRYPOINT ["ws-server"]

FROM gcr.io/distroless/cc-debian12:nonroot AS tasks-server
COPY --from=build /solo/tasks-server /solo/tasks-cli /usr/local/bin/
EXPOSE 4321
HEALTHCHECK --interval=5s --timeout=4s --start-period=10s CMD ["tasks-cli", "--timeout", "3", "stats"]
ENTRYPOINT ["tasks-server"]
CMD ["--host", "0.0.0.0", "--max-connections", "10000"]

FROM gcr.io/distroless/cc-debian12:nonroot AS tasks-cli
COPY --from=build /solo/tasks-cli /usr/local/bin/
ENTRYPOINT ["tasks-cli"]
