//! Whose turn it is: smooth weighted round robin, as nginx does it. Of weights 5, 1, 1 the order is `a a b a c a a`, not five times `a` first.

/// One backend that may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Its place in `turns`.
    pub(super) index: usize,
    /// Its share, more than 0.
    pub(super) weight: u32,
}

/// Chooses one of the candidates and moves their turns on; `None` where there is none. Over as many choices as all weights together, each candidate
/// is chosen as often as its weight says. Each turn stays within the sum of the weights on both sides of 0.
pub(super) fn choose(turns: &mut [i64], candidates: &[Candidate]) -> Option<usize> {
    let total: i64 = candidates.iter().map(|candidate| i64::from(candidate.weight)).sum();
    let mut best: Option<(usize, i64)> = None;
    for candidate in candidates {
        let Some(turn) = turns.get_mut(candidate.index) else { continue };
        *turn += i64::from(candidate.weight);
        if best.is_none_or(|(_, highest)| *turn > highest) {
            best = Some((candidate.index, *turn));
        }
    }
    let (index, _) = best?;
    if let Some(turn) = turns.get_mut(index) {
        *turn -= total;
    }
    Some(index)
}
