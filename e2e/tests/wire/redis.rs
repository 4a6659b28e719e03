//! Limits in memory, and in a Redis.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use relay_dataplane::limits::{Limiter, RedisOptions};

use crate::house::eventually;

/// A redis-server of the test's own, on a socket of the file system.
struct Redis {
    child: Child,
    dir: tempfile::TempDir,
}

impl Redis {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(dir.path().join("socket"));
        let child = command.stdout(Stdio::null()).spawn();
        let child = child.expect("these tests need redis-server: install it with `apt-get install redis-server`");
        Self { child, dir }
    }

    async fn limiter(&self) -> Limiter {
        let socket = self.dir.path().join("socket");
        eventually("redis-server listens", || std::os::unix::net::UnixStream::connect(&socket).is_ok()).await;
        let url = format!("redis+unix://{}", socket.display());
        // A machine under tests may be slow; no decision is to be taken alone for that.
        let options = RedisOptions { budget: Duration::from_secs(10), ..RedisOptions::new(url) };
        Limiter::redis(&options).expect("options")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a test by limits in memory, and in Redis.
pub(crate) async fn by_both(test: impl AsyncFn(Limiter)) {
    test(Limiter::memory()).await;
    let redis = Redis::start();
    test(redis.limiter().await).await;
}
