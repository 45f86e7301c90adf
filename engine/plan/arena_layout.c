#include "engine/plan/arena_layout.h"

#include "engine/base/status.h"

#include <stdlib.h>
#include <string.h>

static int compare_size(const void *left, const void *right) {
  const arena_block *a = *(arena_block *const *)left, *b = *(arena_block *const *)right;
  if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
  if (a->first != b->first) return a->first < b->first ? -1 : 1;
  return a < b ? -1 : a > b;
}

/* A block that has its place. Kept apart from the blocks, as all of them are looked at again and again. */
typedef struct placed_block {
  size_t offset, end;
  int first, last;
} placed_block;

/* `placed` is sorted by offset. Returns the lowest offset where the block fits between those alive at the same time. */
static bool find_gap(const placed_block *placed, size_t count, const arena_block *block, size_t *offset) {
  size_t candidate = 0;
  for (size_t i = 0; i < count; i++) {
    const placed_block *other = &placed[i];
    if (other->first > block->last || block->first > other->last) continue;
    if (other->offset >= candidate && other->offset - candidate >= block->bytes) break;
    if (other->end > candidate) candidate = other->end;
  }
  *offset = candidate;
  return candidate <= SIZE_MAX / 2 && block->bytes <= SIZE_MAX / 2 - candidate;
}

/* Largest first: each block goes to the lowest place that is free during its whole life. Quadratic. */
static bool place_by_size(arena_block **order, placed_block *placed, size_t count, size_t *arena_bytes) {
  qsort(order, count, sizeof *order, compare_size);
  for (size_t i = 0; i < count; i++) {
    arena_block *block = order[i];
    if (!find_gap(placed, i, block, &block->offset)) return false;
    const size_t end = block->offset + size_align(block->bytes, MEMORY_ALIGNMENT);
    size_t position = i;
    for (; position > 0 && placed[position - 1].offset > block->offset; position--) {
      placed[position] = placed[position - 1];
    }
    placed[position] = (placed_block){.offset = block->offset, .end = end, .first = block->first, .last = block->last};
    if (end > *arena_bytes) *arena_bytes = end;
  }
  return true;
}

/* ------------------------------------------------------------------------------------------------------ many blocks */

/* Above this the better placement would take seconds; such graphs have many small steps rather than a few large
 * ones. */
#define MOST_BY_SIZE 8192
#define MOST_TRIES   256 /* holes that are looked at for one block */

/* Free parts of the arena, by offset; neighbours are joined. */
typedef struct hole {
  size_t offset, bytes;
} hole;

typedef struct hole_list {
  hole *holes;
  size_t count;
} hole_list;

static int compare_first(const void *left, const void *right) {
  const arena_block *a = *(arena_block *const *)left, *b = *(arena_block *const *)right;
  if (a->first != b->first) return a->first < b->first ? -1 : 1;
  return compare_size(left, right);
}

static int compare_last(const void *left, const void *right) {
  const arena_block *a = *(arena_block *const *)left, *b = *(arena_block *const *)right;
  if (a->last != b->last) return a->last < b->last ? -1 : 1;
  return a < b ? -1 : a > b;
}

static void add_hole(hole_list *list, size_t offset, size_t bytes) {
  size_t low = 0, high = list->count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (list->holes[middle].offset < offset)
      low = middle + 1;
    else
      high = middle;
  }
  hole *at = &list->holes[low];
  bool joins_previous = low > 0 && at[-1].offset + at[-1].bytes == offset;
  bool joins_next = low < list->count && offset + bytes == at->offset;
  if (joins_previous) {
    at[-1].bytes += bytes + (joins_next ? at->bytes : 0);
    if (!joins_next) return;
    memmove(at, at + 1, (list->count - low - 1) * sizeof *at);
    list->count--;
  } else if (joins_next) {
    *at = (hole){offset, bytes + at->bytes};
  } else {
    memmove(at + 1, at, (list->count - low) * sizeof *at);
    *at = (hole){offset, bytes};
    list->count++;
  }
}

/* The first hole that is large enough, else the end of the arena. */
static bool take_hole(hole_list *list, size_t bytes, size_t *arena_bytes, size_t *offset) {
  for (size_t i = 0; i < list->count && i < MOST_TRIES; i++) {
    hole *hole = &list->holes[i];
    if (hole->bytes < bytes) continue;
    *offset = hole->offset;
    hole->offset += bytes;
    hole->bytes -= bytes;
    if (hole->bytes > 0) return true;
    memmove(hole, hole + 1, (list->count - i - 1) * sizeof *hole);
    list->count--;
    return true;
  }
  *offset = *arena_bytes;
  hole *last = list->count ? &list->holes[list->count - 1] : NULL;
  if (last && last->offset + last->bytes == *arena_bytes) { /* grows; too small, or it is behind the first tries */
    *offset = last->offset;
    if (last->bytes > bytes) {
      last->offset += bytes;
      last->bytes -= bytes;
      return true;
    }
    list->count--;
  }
  if (*offset > SIZE_MAX / 2 || bytes > SIZE_MAX / 2 - *offset) return false;
  *arena_bytes = *offset + bytes;
  return true;
}

/* In the order in which the blocks begin to live: what ends leaves a hole, what begins takes the first that fits. */
static bool place_by_time(arena_block **begins, arena_block **ends, hole *holes, size_t count, size_t *arena_bytes) {
  hole_list list = {.holes = holes};
  memcpy(ends, begins, count * sizeof *ends);
  qsort(begins, count, sizeof *begins, compare_first);
  qsort(ends, count, sizeof *ends, compare_last);
  size_t ended = 0;
  for (size_t i = 0; i < count; i++) {
    arena_block *block = begins[i];
    for (; ended < count && ends[ended]->last < block->first; ended++) {
      add_hole(&list, ends[ended]->offset, size_align(ends[ended]->bytes, MEMORY_ALIGNMENT));
    }
    if (block->bytes > SIZE_MAX / 2) return false;
    if (!take_hole(&list, size_align(block->bytes, MEMORY_ALIGNMENT), arena_bytes, &block->offset)) return false;
  }
  return true;
}

/* ------------------------------------------------------------------------------------------------------------ place */

norma_status arena_layout_place(memory *memory, arena_block *blocks, size_t count, size_t *arena_bytes,
                                norma_error *error) {
  *arena_bytes = 0;
  if (count == 0) return NORMA_OK;
  const size_t by_size = sizeof(placed_block), by_time = sizeof(arena_block *) + sizeof(hole);
  size_t bytes, unit = sizeof(arena_block *) + (by_size > by_time ? by_size : by_time);
  if (!size_multiply(count + 1, unit, &bytes)) return memory_error(memory, SIZE_MAX, error);
  arena_block **order = memory_allocate(memory, bytes);
  if (!order) return memory_error(memory, bytes, error);
  for (size_t i = 0; i < count; i++) order[i] = &blocks[i];
  arena_block **second = order + count;
  hole *holes = (void *)(second + count);
  bool placed = count <= MOST_BY_SIZE ? place_by_size(order, (void *)second, count, arena_bytes)
                                      : place_by_time(order, second, holes, count, arena_bytes);
  memory_free(memory, order);
  if (placed) return NORMA_OK;
  return error_set(error, NORMA_ERROR_BUDGET, "the intermediate results need more memory than can be addressed");
}
