//! The server's own settings: where to listen, what to keep, what to accept.

use crate::compile::{Compiler, batches, media};
use crate::file::File;
use crate::scalar;
use crate::snapshot::{Server, Store};
use std::net::SocketAddr;
use std::time::Duration;

/// Compiles the server's settings; mistakes leave the default.
pub(crate) fn compile(file: &File, compiler: &mut Compiler<'_>) -> Server {
    let default = Server::default();
    let settings = file.server.clone().unwrap_or_default();
    let log = file.log.clone().unwrap_or_default();
    let listen = listen(file, compiler).unwrap_or(default.listen);
    let unauthenticated = file.allow_unauthenticated.unwrap_or(false);
    if file.keys.is_empty() && !listen.ip().is_loopback() && !unauthenticated {
        compiler.error(
            &["listen"],
            format!("`{listen}` can be reached from other machines and no virtual key is configured: anyone could spend your money"),
            Some("add a key under `keys`, listen on 127.0.0.1, or set `allow_unauthenticated: true`".to_owned()),
        );
    }
    if unauthenticated && !file.keys.is_empty() {
        compiler.error(
            &["allow_unauthenticated"],
            "this has no effect: virtual keys are configured, so every request needs one",
            Some("take it out".to_owned()),
        );
    }
    if unauthenticated && file.keys.is_empty() && listen.ip().is_loopback() {
        compiler.warning(
            &["allow_unauthenticated"],
            "this has no effect: only this machine can connect anyway",
            None,
        );
    }
    let body_limit = compiler.read(&["server", "body_limit"], settings.body_limit.as_ref(), scalar::size);
    let store = store(file, compiler).unwrap_or(default.store);
    if matches!(store, Store::Memory) && file.log.is_some() {
        compiler.error(
            &["log"],
            "this has no effect: the store is `memory`, which keeps only the newest records",
            None,
        );
    }
    Server {
        listen,
        store,
        log_keep: time(&["log", "keep"], log.keep.as_ref(), 3_600, compiler).unwrap_or(default.log_keep),
        log_max_bytes: compiler
            .read(&["log", "max_size"], log.max_size.as_ref(), scalar::size)
            .unwrap_or(default.log_max_bytes),
        body_limit: body_limit.and_then(|size| usize::try_from(size).ok()).unwrap_or(default.body_limit),
        open_requests: compiler
            .at_least_one(&["server", "open_requests"], settings.open_requests)
            .unwrap_or(default.open_requests),
        client_timeout: time(&["server", "client_timeout"], settings.client_timeout.as_ref(), 1, compiler)
            .unwrap_or(default.client_timeout),
        busy_poll: compiler
            .read(&["server", "busy_poll"], settings.busy_poll.as_ref(), scalar::duration)
            .unwrap_or(default.busy_poll),
        drain: compiler
            .read(&["server", "drain"], settings.drain.as_ref(), scalar::duration)
            .unwrap_or(default.drain),
        media: media::compile(file, compiler),
        batches: batches::compile(file, compiler),
    }
}

/// Reads a time with a lower bound in seconds, below which the setting would do harm.
pub(crate) fn time(
    path: &[&str],
    text: Option<&String>,
    least: u64,
    compiler: &mut Compiler<'_>,
) -> Option<Duration> {
    compiler.read(path, text, |text| {
        let time = scalar::duration(text)?;
        if time < Duration::from_secs(least) {
            return Err(format!("`{text}` is too short: at least {least} seconds"));
        }
        Ok(time)
    })
}

fn listen(file: &File, compiler: &mut Compiler<'_>) -> Option<SocketAddr> {
    let written = file.listen.as_ref()?;
    let text = compiler.expand(&["listen"], written)?;
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) => {
            compiler.error(
                &["listen"],
                format!("`{written}` is not an address and port"),
                Some("write for example `127.0.0.1:4000` or `0.0.0.0:4000`".to_owned()),
            );
            None
        }
    }
}

fn store(file: &File, compiler: &mut Compiler<'_>) -> Option<Store> {
    let written = file.store.as_ref()?;
    let text = compiler.expand(&["store"], written)?;
    if text == "memory" {
        return Some(Store::Memory);
    }
    match text.strip_prefix("sqlite:") {
        Some(path) if !path.is_empty() => Some(Store::Sqlite(path.into())),
        _ => {
            compiler.error(
                &["store"],
                format!("`{written}` is not a store"),
                Some("write `sqlite:PATH` or `memory`".to_owned()),
            );
            None
        }
    }
}
