#include "engine/memory_plan.h"

#include "engine/status.h"

#include <stdlib.h>

static int compare_size(const void *left, const void *right) {
  const memory_block *a = *(memory_block *const *)left, *b = *(memory_block *const *)right;
  if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
  if (a->first != b->first) return a->first < b->first ? -1 : 1;
  return a < b ? -1 : a > b;
}

static bool overlap_in_time(const memory_block *a, const memory_block *b) {
  return a->first <= b->last && b->first <= a->last;
}

/* `placed` is sorted by offset. Returns the lowest offset where the block fits between those alive at the same time. */
static bool find_gap(memory_block *const *placed, size_t count, const memory_block *block, size_t *offset) {
  size_t candidate = 0, end;
  for (size_t i = 0; i < count; i++) {
    if (!overlap_in_time(placed[i], block)) continue;
    if (placed[i]->offset >= candidate && placed[i]->offset - candidate >= block->bytes) break;
    end = placed[i]->offset + size_align(placed[i]->bytes, MEMORY_ALIGNMENT);
    if (end > candidate) candidate = end;
  }
  *offset = candidate;
  return candidate <= SIZE_MAX / 2 && block->bytes <= SIZE_MAX / 2 - candidate;
}

norma_status memory_plan_place(memory *memory, memory_block *blocks, size_t count, size_t *arena_bytes,
                               norma_error *error) {
  *arena_bytes = 0;
  if (count == 0) return NORMA_OK;
  size_t bytes;
  if (!size_multiply(count, 2 * sizeof(memory_block *), &bytes)) return memory_error(memory, SIZE_MAX, error);
  memory_block **order = memory_allocate(memory, bytes);
  if (!order) return memory_error(memory, bytes, error);
  memory_block **placed = order + count;
  for (size_t i = 0; i < count; i++) order[i] = &blocks[i];
  qsort(order, count, sizeof *order, compare_size);
  norma_status status = NORMA_OK;
  for (size_t i = 0; i < count && status == NORMA_OK; i++) {
    memory_block *block = order[i];
    if (!find_gap(placed, i, block, &block->offset)) {
      status = error_set(error, NORMA_ERROR_BUDGET, "the intermediate results need more memory than can be addressed");
      break;
    }
    size_t position = i;
    while (position > 0 && placed[position - 1]->offset > block->offset) {
      placed[position] = placed[position - 1];
      position--;
    }
    placed[position] = block;
    size_t end = block->offset + size_align(block->bytes, MEMORY_ALIGNMENT);
    if (end > *arena_bytes) *arena_bytes = end;
  }
  memory_free(memory, order);
  return status;
}
