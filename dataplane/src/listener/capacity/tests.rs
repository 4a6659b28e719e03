use super::{BUFFERS, Capacity, MEMORY_A_CONNECTION, MEMORY_KEPT, files_of, limit, memory_limit};
use crate::upstream::AHEAD;
use std::path::Path;

const MIB: u64 = 1 << 20;

#[test]
fn the_lower_of_descriptors_and_memory_decides() {
    let of = |descriptors, memory| {
        let capacity = Capacity::of(descriptors, memory);
        (capacity.connections, capacity.requests)
    };
    assert_eq!(of(1024, u64::MAX), (448, 448));
    assert_eq!(of(1 << 20, 512 * MIB), (2764, 1382));
    assert_eq!(of(1024, 512 * MIB), (448, 448));
    assert_eq!(of(0, 0), (64, 64));
    assert_eq!(of(u64::MAX, u64::MAX), (1_000_000, 1_000_000));
}

/// Each request with all that it may hold, each connection with its own, and the program.
#[test]
fn requests_that_take_all_that_they_may_fit_into_the_memory() {
    for mebibytes in [512, 1024, 4096] {
        let Capacity { connections, requests } = Capacity::of(u64::MAX, mebibytes * MIB);
        let window = u64::try_from(AHEAD).unwrap();
        let taken = (requests as u64) * (BUFFERS + window) + (connections as u64) * MEMORY_A_CONNECTION + MEMORY_KEPT;
        let limit = mebibytes * MIB / 5 * 4;
        assert!(taken <= limit && taken > limit / 100 * 99, "{taken} of {limit}");
    }
}

#[test]
fn this_process_has_bounds() {
    let capacity = Capacity::of_this_process();
    assert!(capacity.connections >= 64 && capacity.requests >= 64, "{capacity:?}");
    assert!(memory_limit(Path::new("/")).is_some_and(|bytes| bytes < 1 << 50));
}

fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}

#[test]
fn limits_of_both_versions_of_control_groups_are_read() {
    let machine_memory = ("proc/meminfo", "MemTotal:        8000000 kB\nMemFree: 1 kB\n");
    let cases: [(&[(&str, &str)], u64); 6] = [
        (&[machine_memory], 8_000_000 * 1024),
        (&[machine_memory, ("sys/fs/cgroup/memory.max", "268435456\n")], 256 * MIB),
        (&[machine_memory, ("sys/fs/cgroup/memory.max", "max\n")], 8_000_000 * 1024),
        (&[machine_memory, ("sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n")], 128 * MIB),
        (&[machine_memory, ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")], 8_000_000 * 1024),
        (
            &[
                machine_memory,
                ("proc/self/cgroup", "0::/kubepods/pod1/c\n"),
                ("sys/fs/cgroup/kubepods/pod1/memory.max", "134217728"),
                ("sys/fs/cgroup/kubepods/pod1/c/memory.max", "max"),
            ],
            128 * MIB,
        ),
    ];
    for (files, wanted) in cases {
        assert_eq!(memory_limit(machine(files).path()), Some(wanted), "{files:?}");
    }
    assert_eq!(memory_limit(machine(&[]).path()), None);
}

#[test]
fn a_groups_parents_limit_it_too() {
    assert_eq!(files_of("0::/a/b"), ["sys/fs/cgroup/a/memory.max", "sys/fs/cgroup/a/b/memory.max"]);
    assert_eq!(files_of("4:cpu,memory:/a"), ["sys/fs/cgroup/memory/a/memory.limit_in_bytes"]);
    for other in ["0::/", "3:cpu:/a", "nonsense", ""] {
        assert!(files_of(other).is_empty(), "{other}");
    }
    assert_eq!((limit("max"), limit(" 12\n")), (None, Some(12)));
}
