use super::{CAPACITY, PATIENCE, Queue};
use crate::limits::account::Id;
use crate::limits::plan::Used;
use crate::limits::reservation::Open;
use crate::limits::tenants::Tenants;
use relay_snapshot::ObjectId;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::advance;

fn opens() -> impl FnMut() -> Arc<Open> {
    let tenant = Tenants::new().of(&ObjectId::new("team", "a"));
    let mut next = 0;
    move || {
        next += 1;
        Arc::new(Open::new(Id(next), Arc::clone(&tenant), Box::default(), None, None))
    }
}

fn ids(queue: &Queue, most: usize) -> Vec<u128> {
    queue.take(most).iter().map(|job| job.open.id.0).collect()
}

#[tokio::test(start_paused = true)]
async fn one_more_than_its_capacity_is_lost() {
    let (queue, mut open) = (Queue::default(), opens());
    for _ in 0..CAPACITY {
        assert!(queue.push(open(), Used::default()));
    }
    assert!(!queue.push(open(), Used::default()));
    assert_eq!((queue.len(), ids(&queue, 2)), (CAPACITY, vec![1, 2]));
}

#[tokio::test(start_paused = true)]
async fn what_is_put_back_keeps_its_place() {
    let (queue, mut open) = (Queue::default(), opens());
    for _ in 0..5 {
        assert!(queue.push(open(), Used::default()));
    }
    let taken = queue.take(3);
    assert_eq!(queue.put_back(taken), 0);
    assert_eq!(ids(&queue, 10), [1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_any_more_is_lost_from_the_end() {
    let (queue, mut open) = (Queue::default(), opens());
    for _ in 0..CAPACITY {
        assert!(queue.push(open(), Used::default()));
    }
    let taken = queue.take(2);
    assert!(queue.push(open(), Used::default()));
    assert_eq!((queue.put_back(taken), queue.len()), (1, CAPACITY));
    assert_eq!(ids(&queue, 1), [1]);
}

#[tokio::test(start_paused = true)]
async fn what_waited_for_five_minutes_is_dropped_and_nothing_else() {
    let (queue, mut open) = (Queue::default(), opens());
    assert!(queue.push(open(), Used::default()));
    advance(Duration::from_secs(1)).await;
    assert!(queue.push(open(), Used::default()));
    advance(PATIENCE.checked_sub(Duration::from_secs(1)).unwrap()).await;
    assert_eq!(queue.expire(), 0);
    advance(Duration::from_millis(1)).await;
    assert_eq!((queue.expire(), ids(&queue, 10)), (1, vec![2]));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_misses_is_not_counted_as_lost() {
    let (queue, mut open) = (Queue::default(), opens());
    let in_doubt = Arc::new(Open::doubtful(Id(0), Arc::clone(&open().tenant), &[]));
    assert!(queue.push(in_doubt, Used::default()) && queue.push(open(), Used::default()));
    assert_eq!(queue.waiting(), 1);
    advance(PATIENCE + Duration::from_millis(1)).await;
    assert_eq!((queue.expire(), queue.len()), (1, 0));
}
