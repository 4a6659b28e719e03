use super::Sick;
use ::redis::{ErrorKind, RedisError, parse_redis_value};
use std::io;

fn answered(line: &str) -> RedisError {
    parse_redis_value(format!("-{line}\r\n").as_bytes()).and_then(::redis::Value::extract_error).unwrap_err()
}

#[test]
fn every_answer_of_a_sick_redis_is_known() {
    for (line, sick) in [
        ("READONLY You can't write against a read only replica.", Sick::ReadOnly),
        ("LOADING Redis is loading the dataset in memory", Sick::Loading),
        ("NOAUTH Authentication required.", Sick::Unauthenticated),
        ("WRONGPASS invalid username-password pair or user is disabled.", Sick::Unauthenticated),
        ("NOPERM this user has no permissions to run the 'evalsha' command", Sick::Forbidden),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", Sick::Down),
        ("CLUSTERDOWN Hash slot not served", Sick::Down),
        ("TRYAGAIN Multiple keys request during rehashing of slot", Sick::Down),
        ("OOM command not allowed when used memory > 'maxmemory'. script: 1, on @user_script:1.", Sick::Full),
        (
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
            Sick::Unsafe,
        ),
        ("NOREPLICAS Not enough good replicas to write.", Sick::Unsafe),
        ("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", Sick::Slow),
        (
            "ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write against a read only replica.",
            Sick::ReadOnly,
        ),
        (
            "ERR Error running script (call to f_1): @user_script: 1: OOM command not allowed when used memory > 'maxmemory'",
            Sick::Full,
        ),
        (
            "ERR Error running script (call to f_1): @user_script: 1: -MISCONF Errors writing to the AOF file",
            Sick::Unsafe,
        ),
        ("ERR The user executing the script can't run this command or subcommand script: 1", Sick::Forbidden),
        ("ERR unknown command 'EVALSHA'", Sick::Odd),
    ] {
        assert_eq!(Sick::of(&answered(line)), sick, "{line}");
    }
}

#[test]
fn a_connection_that_breaks_is_gone_whatever_the_system_calls_it() {
    for kind in [
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::BrokenPipe,
        io::ErrorKind::UnexpectedEof,
        io::ErrorKind::TimedOut,
        io::ErrorKind::NotFound,
    ] {
        assert_eq!(Sick::of(&io::Error::from(kind).into()), Sick::Gone, "{kind}");
    }
}

#[test]
fn a_refused_password_and_an_unknown_master_are_known() {
    let error = |kind| RedisError::from((kind, "text"));
    assert_eq!(Sick::of(&error(ErrorKind::AuthenticationFailed)), Sick::Unauthenticated);
    assert_eq!(Sick::of(&error(ErrorKind::MasterNameNotFoundBySentinel)), Sick::Down);
    assert_eq!(Sick::of(&error(ErrorKind::ClusterConnectionNotFound)), Sick::Down);
}
