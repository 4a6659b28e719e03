use super::{Circuit, MISSES, PROBE_EVERY};
use std::time::Duration;
use tokio::time::{Instant, advance};

const BUDGET: Duration = Duration::from_millis(25);

fn open() -> Circuit {
    let circuit = Circuit::new(BUDGET);
    (0..MISSES).for_each(|_| circuit.miss(Instant::now()));
    circuit
}

fn let_through(circuit: &Circuit, tries: usize) -> usize {
    (0..tries).filter(|_| circuit.lets_through(Instant::now())).count()
}

#[tokio::test(start_paused = true)]
async fn opens_at_the_fifth_miss_in_a_row() {
    let circuit = Circuit::new(BUDGET);
    for _ in 0..3 {
        (1..MISSES).for_each(|_| circuit.miss(Instant::now()));
        assert_eq!(let_through(&circuit, 10), 10);
        circuit.hit();
    }
    (0..MISSES).for_each(|_| circuit.miss(Instant::now()));
    assert_eq!(let_through(&circuit, 10), 0);
}

#[tokio::test(start_paused = true)]
async fn lets_one_probe_through_each_quarter_of_a_second() {
    let circuit = open();
    for _ in 0..4 {
        advance(PROBE_EVERY.checked_sub(Duration::from_millis(1)).unwrap()).await;
        assert_eq!(let_through(&circuit, 10), 0);
        advance(Duration::from_millis(1)).await;
        assert_eq!(let_through(&circuit, 10), 1);
        circuit.miss(Instant::now());
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_nobody_waited_for_does_not_end_the_probing() {
    let circuit = open();
    for _ in 0..3 {
        advance(PROBE_EVERY).await;
        assert_eq!(let_through(&circuit, 10), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn closes_at_the_first_hit() {
    let circuit = open();
    circuit.hit();
    assert_eq!(let_through(&circuit, 10), 10);
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_is_probed_at_once_and_by_one() {
    let circuit = open();
    circuit.probe_soon();
    assert_eq!(let_through(&circuit, 10), 1);
}

#[tokio::test(start_paused = true)]
async fn probes_never_overlap_even_with_a_budget_longer_than_the_interval() {
    let circuit = Circuit::new(Duration::from_secs(2));
    (0..MISSES).for_each(|_| circuit.miss(Instant::now()));
    advance(Duration::from_secs(2)).await;
    assert_eq!(let_through(&circuit, 10), 1);
    advance(Duration::from_millis(1999)).await;
    assert_eq!(let_through(&circuit, 10), 0);
}
