//! The library's threads, and loops over slices on them. After an evaluation they are still awake.

mod thread_pool;

#[cfg(target_os = "unknown")]
pub(crate) use thread_pool::{expect_threads, serve_as_thread};
pub(crate) use thread_pool::{thread_pool, threads};

/// A pointer that tasks with disjoint parts of a slice share.
struct Shared<T>(*mut T);

// SAFETY: each task makes references to its own part of the slice only.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn at(&self, offset: usize) -> *mut T {
        self.0.wrapping_add(offset)
    }
}

/// Calls `work(i, chunk)` for chunk `i` of `size` values; the last chunk may be shorter.
pub(crate) fn for_each_chunk<T: Send>(values: &mut [T], size: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    for_each_chunk_of_planes(values, 1, size, |i, chunks| {
        if let [chunk] = chunks {
            work(i, chunk);
        }
    });
}

/// Calls `work(i, chunks)` with chunk `i` of `size` values of each of the equal `planes` of `values`.
pub(crate) fn for_each_chunk_of_planes<T: Send>(
    values: &mut [T],
    planes: usize,
    size: usize,
    work: impl Fn(usize, &mut [&mut [T]]) + Sync,
) {
    let (planes, size) = (planes.max(1), size.max(1));
    let length = values.len() / planes;
    let shared = Shared(values.as_mut_ptr());
    thread_pool().run(threads(), length.div_ceil(size), &|_, task| {
        let (first, end) = (task * size, length.min((task + 1) * size));
        let chunk = |plane: usize| {
            // SAFETY: `plane * length + end <= values.len()`, and each task has its own `first..end`; `values` is borrowed
            // mutably until `run` returns, after all tasks.
            unsafe { std::slice::from_raw_parts_mut(shared.at(plane * length + first), end - first) }
        };
        let mut chunks: Vec<&mut [T]> = (0..planes).map(chunk).collect();
        work(task, &mut chunks);
    });
}

/// As [`for_each_chunk`], with the results of `work` in order.
pub(crate) fn map_chunks<T: Send, R: Send + Default>(
    values: &mut [T],
    size: usize,
    work: impl Fn(usize, &mut [T]) -> R + Sync,
) -> Vec<R> {
    let mut results: Vec<R> = std::iter::repeat_with(R::default).take(values.len().div_ceil(size.max(1))).collect();
    let shared = Shared(results.as_mut_ptr());
    for_each_chunk(values, size, |i, chunk| {
        let result = work(i, chunk);
        // SAFETY: there is one result for each chunk, and each chunk is visited once.
        unsafe { *shared.at(i) = result };
    });
    results
}

/// The results of `work(i)` for `i` in `0..count`, in order.
pub(crate) fn map<T: Send + Default>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let mut results: Vec<T> = std::iter::repeat_with(T::default).take(count).collect();
    for_each_chunk(&mut results, 1, |i, result| result[0] = work(i));
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_visited_once() {
        for length in [0, 1, 7, 100, 1001] {
            let mut values = vec![0usize; length];
            for_each_chunk(&mut values, 10, |i, chunk| {
                chunk.iter_mut().enumerate().for_each(|(j, v)| *v += 10 * i + j)
            });
            assert!(values.iter().enumerate().all(|(i, &v)| i == v), "{length}");
        }
    }

    #[test]
    fn a_task_has_the_same_chunk_of_every_plane() {
        let mut values: Vec<usize> = (0..3 * 25).collect();
        for_each_chunk_of_planes(&mut values, 3, 10, |i, chunks| {
            for (plane, chunk) in chunks.iter_mut().enumerate() {
                assert_eq!(chunk.len(), if i == 2 { 5 } else { 10 });
                chunk.iter_mut().for_each(|v| *v = 1000 * plane + i);
            }
        });
        assert_eq!((values[0], values[24], values[25], values[74]), (0, 2, 1000, 2002));
    }

    #[test]
    fn results_keep_their_order() {
        let mut values = [1, 2, 3, 4, 5];
        assert_eq!(map_chunks(&mut values, 2, |i, chunk| (i, chunk.len())), [(0, 2), (1, 2), (2, 1)]);
        assert_eq!(map(50, |i| i * i), (0..50).map(|i| i * i).collect::<Vec<_>>());
        assert!(map(0, |i| i).is_empty());
    }
}
