//! Memory and Redis give the same replies, number for number.

use super::super::{Account, Call, Reply, script};
use super::world::{play, worlds};
use crate::limits::tests::server::RedisServer;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use redis::{Client, Connection};
use relay_snapshot::ObjectId;
use std::cell::{Cell, RefCell};

/// The script on a real redis-server.
pub(super) struct Store {
    connection: RefCell<Connection>,
    sha: String,
}

impl Store {
    pub(super) fn connect(url: &str) -> Self {
        let mut connection = Client::open(url).unwrap().get_connection().unwrap();
        let sha = redis::cmd("SCRIPT").arg("LOAD").arg(script::SOURCE).query(&mut connection).unwrap();
        Self { connection: RefCell::new(connection), sha }
    }

    pub(super) fn run<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]).query(&mut *self.connection.borrow_mut()).unwrap()
    }

    pub(super) fn apply(&self, tenant: &ObjectId, now: Option<u64>, call: &Call<'_>) -> Reply {
        self.ask(tenant, now, call).unwrap()
    }

    pub(super) fn ask(&self, tenant: &ObjectId, now: Option<u64>, call: &Call<'_>) -> redis::RedisResult<Reply> {
        let mut command = redis::cmd("EVALSHA");
        let keys = script::keys(tenant);
        command.arg(&self.sha).arg(keys.len()).arg(&keys[..]).arg(script::arguments(call, now));
        let numbers: Vec<i64> = command.query(&mut *self.connection.borrow_mut())?;
        Ok(script::reply(call, &numbers).unwrap())
    }
}

#[tokio::test]
async fn memory_and_redis_reply_the_same_whatever_happens() {
    let server = RedisServer::start().await;
    let store = Store::connect(server.url());
    let cases = Cell::new(0);
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&worlds(80, true), |world| {
            cases.set(cases.get() + 1);
            let tenant = ObjectId::new("team", format!("t{}", cases.get()));
            let account = Account::new();
            let mut number = 0;
            play(&world, |now, call| {
                number += 1;
                let (memory, redis) = (account.apply(&tenant, now, call), store.apply(&tenant, Some(now), call));
                prop_assert_eq!(&memory, &redis, "call {} at {}: {:#?}", number, now, call);
                Ok(())
            })
        })
        .unwrap();
}
