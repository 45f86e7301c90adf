#include "ops/heap_sort.h"

#include <string.h>

enum { HEAP_ITEM_BYTES = 64 };

/* Lets `sinking` sink from the item at `place` of a heap whose first item is the last in order. */
static void heap_sink(char *items, size_t count, size_t size, size_t place, const char *sinking,
                      int (*compare)(const void *left, const void *right)) {
  for (size_t child = 2 * place + 1; child < count; child = 2 * place + 1) {
    if (child + 1 < count && compare(items + (child + 1) * size, items + child * size) > 0) child++;
    if (compare(items + child * size, sinking) <= 0) break;
    memcpy(items + place * size, items + child * size, size);
    place = child;
  }
  memcpy(items + place * size, sinking, size);
}

void heap_sort(void *items, size_t count, size_t size, int (*compare)(const void *left, const void *right)) {
  _Alignas(max_align_t) char sinking[HEAP_ITEM_BYTES];
  char *first = items;
  for (size_t i = count / 2; i-- > 0;) {
    memcpy(sinking, first + i * size, size);
    heap_sink(first, count, size, i, sinking, compare);
  }
  for (size_t end = count; end-- > 1;) {
    memcpy(sinking, first + end * size, size);
    memcpy(first + end * size, first, size);
    heap_sink(first, end, size, 0, sinking, compare);
  }
}
