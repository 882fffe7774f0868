//! Pattern-defeating quicksort with the constants that Go's `sort` package chose.
//!
//! Sorting by version, revision or value leaves the order of keys that are equal in it to the algorithm, and clients
//! see it: with a limit it even decides which keys they get. etcd sorts with Go's package, so the order here is made
//! the same way, comparison by comparison.

/// Ranges up to this length are sorted by insertion.
const MAX_INSERTION: usize = 12;
/// Ranges from this length on take the median of medians as pivot.
const SHORTEST_NINTHER: usize = 50;
/// Ranges shorter than this are not worth repairing when they are almost sorted.
const SHORTEST_SHIFTING: usize = 50;
/// Out-of-order pairs repaired before an almost sorted range is given up.
const MAX_REPAIRS: usize = 5;
/// Exchanges in choosing a pivot that mean that every sample was in descending order.
const MAX_EXCHANGES: usize = 12;

/// Sorts by `less`, which must be a strict weak order.
pub fn sort<T>(items: &mut [T], less: impl Fn(&T, &T) -> bool) {
    let length = items.len();
    let bad_pivots_allowed = usize::BITS - length.leading_zeros();
    Sorter { items, less }.quicksort(0, length, bad_pivots_allowed);
}

/// What the samples for a pivot suggest about the range.
#[derive(PartialEq, Eq)]
enum Hint {
    Unknown,
    Increasing,
    Decreasing,
}

/// A slice being sorted. Ranges are given as `a..b`.
struct Sorter<'a, T, F> {
    items: &'a mut [T],
    less: F,
}

impl<T, F: Fn(&T, &T) -> bool> Sorter<'_, T, F> {
    fn less(&self, i: usize, j: usize) -> bool {
        (self.less)(&self.items[i], &self.items[j])
    }

    fn swap(&mut self, i: usize, j: usize) {
        self.items.swap(i, j);
    }

    fn quicksort(&mut self, mut a: usize, mut b: usize, mut bad_pivots_allowed: u32) {
        let mut was_balanced = true;
        let mut was_partitioned = true;
        loop {
            let length = b - a;
            if length <= MAX_INSERTION {
                return self.insertion_sort(a, b);
            }
            if bad_pivots_allowed == 0 {
                return self.heapsort(a, b);
            }
            if !was_balanced {
                self.break_patterns(a, b);
                bad_pivots_allowed -= 1;
            }
            let (mut pivot, mut hint) = self.choose_pivot(a, b);
            if hint == Hint::Decreasing {
                self.items[a..b].reverse();
                pivot = (b - 1) - (pivot - a);
                hint = Hint::Increasing;
            }
            if was_balanced && was_partitioned && hint == Hint::Increasing && self.repair(a, b) {
                return;
            }
            if a > 0 && !self.less(a - 1, pivot) {
                // Nothing here is below what precedes the range: the pivot's equals are done.
                a = self.partition_equal(a, b, pivot);
                continue;
            }
            let (middle, already_partitioned) = self.partition(a, b, pivot);
            was_partitioned = already_partitioned;
            let (left, right) = (middle - a, b - middle);
            was_balanced = left.min(right) >= length / 8;
            // The shorter side is recursed into, so that the stack stays logarithmic.
            if left < right {
                self.quicksort(a, middle, bad_pivots_allowed);
                a = middle + 1;
            } else {
                self.quicksort(middle + 1, b, bad_pivots_allowed);
                b = middle;
            }
        }
    }

    fn insertion_sort(&mut self, a: usize, b: usize) {
        for i in a + 1..b {
            self.sink(i, a);
        }
    }

    /// Moves the item at `i` down to its place among the sorted ones from `floor` on.
    fn sink(&mut self, mut i: usize, floor: usize) {
        while i > floor && self.less(i, i - 1) {
            self.swap(i, i - 1);
            i -= 1;
        }
    }

    fn heapsort(&mut self, a: usize, b: usize) {
        let length = b - a;
        for root in (0..=(length - 1) / 2).rev() {
            self.sift_down(root, length, a);
        }
        for last in (0..length).rev() {
            self.swap(a, a + last);
            self.sift_down(0, last, a);
        }
    }

    fn sift_down(&mut self, mut root: usize, length: usize, base: usize) {
        loop {
            let mut child = 2 * root + 1;
            if child >= length {
                return;
            }
            if child + 1 < length && self.less(base + child, base + child + 1) {
                child += 1;
            }
            if !self.less(base + root, base + child) {
                return;
            }
            self.swap(base + root, base + child);
            root = child;
        }
    }

    /// Puts what is below the pivot before it and the rest after it. Returns where the pivot ends up, and whether
    /// nothing had to move.
    fn partition(&mut self, a: usize, b: usize, pivot: usize) -> (usize, bool) {
        self.swap(a, pivot);
        let (mut low, mut high) = (a + 1, b - 1);
        let mut untouched = true;
        loop {
            while low <= high && self.less(low, a) {
                low += 1;
            }
            while low <= high && !self.less(high, a) {
                high -= 1;
            }
            if low > high {
                self.swap(high, a);
                return (high, untouched);
            }
            self.swap(low, high);
            untouched = false;
            low += 1;
            high -= 1;
        }
    }

    /// Puts what equals the pivot before what is above it; nothing is below. Returns where the second part begins.
    fn partition_equal(&mut self, a: usize, b: usize, pivot: usize) -> usize {
        self.swap(a, pivot);
        let (mut low, mut high) = (a + 1, b - 1);
        loop {
            while low <= high && !self.less(a, low) {
                low += 1;
            }
            while low <= high && self.less(a, high) {
                high -= 1;
            }
            if low > high {
                return low;
            }
            self.swap(low, high);
            low += 1;
            high -= 1;
        }
    }

    /// Sorts a range that is almost sorted; false if it proves not to be.
    fn repair(&mut self, a: usize, b: usize) -> bool {
        let mut i = a + 1;
        for _ in 0..MAX_REPAIRS {
            while i < b && !self.less(i, i - 1) {
                i += 1;
            }
            if i == b {
                return true;
            }
            if b - a < SHORTEST_SHIFTING {
                return false;
            }
            self.swap(i, i - 1);
            if i - a >= 2 {
                self.sink(i - 1, 0);
            }
            if b - i >= 2 {
                let mut rising = i + 1;
                while rising < b && self.less(rising, rising - 1) {
                    self.swap(rising, rising - 1);
                    rising += 1;
                }
            }
        }
        false
    }

    /// Scatters a few items, so that an input which defeats the choice of pivots does not do so again. The numbers
    /// depend on the length alone.
    fn break_patterns(&mut self, a: usize, b: usize) {
        let length = b - a;
        let mut random = length as u64;
        let mask = (1_usize << (usize::BITS - length.leading_zeros())) - 1;
        let centre = a + (length / 4) * 2;
        for i in 0..3 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Both fit: the mask is a few bits longer than the length.
            let mut other = usize::try_from(random & mask as u64).unwrap_or_default();
            if other >= length {
                other -= length;
            }
            self.swap(centre - 1 + i, a + other);
        }
    }

    fn choose_pivot(&self, a: usize, b: usize) -> (usize, Hint) {
        let length = b - a;
        let quarter = length / 4;
        let mut exchanges = 0;
        let (mut left, mut centre, mut right) = (a + quarter, a + quarter * 2, a + quarter * 3);
        if length >= SHORTEST_NINTHER {
            left = self.median(left - 1, left, left + 1, &mut exchanges);
            centre = self.median(centre - 1, centre, centre + 1, &mut exchanges);
            right = self.median(right - 1, right, right + 1, &mut exchanges);
        }
        let pivot = self.median(left, centre, right, &mut exchanges);
        match exchanges {
            0 => (pivot, Hint::Increasing),
            MAX_EXCHANGES => (pivot, Hint::Decreasing),
            _ => (pivot, Hint::Unknown),
        }
    }

    fn median(&self, mut a: usize, mut b: usize, mut c: usize, exchanges: &mut usize) -> usize {
        self.order(&mut a, &mut b, exchanges);
        self.order(&mut b, &mut c, exchanges);
        self.order(&mut a, &mut b, exchanges);
        b
    }

    /// Exchanges two positions, not the items, if the items are out of order.
    fn order(&self, a: &mut usize, b: &mut usize, exchanges: &mut usize) {
        if self.less(*b, *a) {
            std::mem::swap(a, b);
            *exchanges += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::sort;

    proptest! {
        #[test]
        fn sorts_whatever_comes(mut numbers in vec(0..40_u8, 0..400)) {
            let mut expected = numbers.clone();
            expected.sort_unstable();
            sort(&mut numbers, |a, b| a < b);
            prop_assert_eq!(numbers, expected);
        }
    }

    #[test]
    fn sorts_patterns() {
        let patterns: [fn(u32) -> u32; 5] =
            [|i| i, |i| 5000 - i, |i| i % 7, |i| i ^ 0x2aa, |i| i.wrapping_mul(2_654_435_761)];
        for pattern in patterns {
            let mut numbers: Vec<u32> = (0..5000).map(pattern).collect();
            sort(&mut numbers, |a, b| a < b);
            assert!(numbers.is_sorted());
        }
    }

    #[test]
    fn survives_an_input_made_against_its_pivots() {
        // McIlroy's adversary: values are decided only as they are compared, always for the worst.
        let length = 2000;
        let gas = length;
        let values = std::cell::RefCell::new((vec![gas; length], 0, 0));
        let mut order: Vec<usize> = (0..length).collect();
        sort(&mut order, |&a, &b| {
            let (values, solid, candidate) = &mut *values.borrow_mut();
            if values[a] == gas && values[b] == gas {
                values[if a == *candidate { a } else { b }] = *solid;
                *solid += 1;
            }
            if values[a] == gas {
                *candidate = a;
            } else if values[b] == gas {
                *candidate = b;
            }
            values[a] < values[b]
        });
        let values = values.into_inner().0;
        assert!(order.is_sorted_by_key(|&i| values[i]));
    }
}
