//! A small bounded cache, shared by the threads that read one disk.
//!
//! Two generations: what is used moves to the young one; when that is full it becomes the old one, and what was old and not used
//! since is dropped. So the bound is constant, every operation is a look-up or two, and no lists have to be kept.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A cache of values that together weigh at most twice `generation` and one value more.
pub struct Cache<K, V> {
    generation: usize,
    maps: Mutex<Maps<K, V>>,
}

struct Maps<K, V> {
    young: HashMap<K, (V, usize)>,
    weight: usize,
    old: HashMap<K, (V, usize)>,
}

impl<K: Hash + Eq + Copy, V: Clone> Cache<K, V> {
    /// An empty cache whose generations weigh `generation` each.
    pub fn new(generation: usize) -> Self {
        Self { generation, maps: Mutex::new(Maps { young: HashMap::new(), weight: 0, old: HashMap::new() }) }
    }

    /// The value of `key`, if it is still there.
    pub fn get(&self, key: K) -> Option<V> {
        let mut maps = self.lock();
        if let Some((value, _)) = maps.young.get(&key) {
            return Some(value.clone());
        }
        let (value, weight) = maps.old.remove(&key)?;
        self.insert(&mut maps, key, value.clone(), weight);
        Some(value)
    }

    /// Stores a value that weighs `weight`.
    pub fn put(&self, key: K, value: V, weight: usize) {
        let mut maps = self.lock();
        self.insert(&mut maps, key, value, weight);
    }

    fn insert(&self, maps: &mut Maps<K, V>, key: K, value: V, weight: usize) {
        if maps.weight >= self.generation {
            maps.old = std::mem::take(&mut maps.young);
            maps.weight = 0;
        }
        maps.weight += weight;
        if let Some((_, replaced)) = maps.young.insert(key, (value, weight)) {
            maps.weight -= replaced;
        }
    }

    // A panic elsewhere cannot leave the maps half changed in a way that matters: every value is whole or not there.
    fn lock(&self) -> MutexGuard<'_, Maps<K, V>> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Cache;

    #[test]
    fn keeps_what_is_used_and_stays_bounded() {
        let cache = Cache::new(40);
        for key in 0..1000u32 {
            cache.put(key, key, 10);
            assert_eq!(cache.get(0), Some(0), "value 0 is used all the time");
        }
        let maps = cache.lock();
        assert!(maps.young.len() + maps.old.len() <= 8);
        drop(maps);
        assert_eq!(cache.get(5), None);
    }

    #[test]
    fn a_value_stored_twice_counts_once() {
        let cache = Cache::new(40);
        for _ in 0..100 {
            cache.put(1u32, 1, 10);
        }
        assert_eq!(cache.lock().weight, 10);
    }
}
