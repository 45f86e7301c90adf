#include "ops/heap_sort.h"
#include "ops/text/regex_program.h"

/* ------------------------------------------------------------------------------------------------------------- sets */

norma_status set_add(character_set *set, uint32_t low, uint32_t high) {
  if (set->count == set->capacity) {
    const size_t capacity = set->capacity ? 2 * set->capacity : 8;
    character_range *grown = region_array(&set->builder->work, capacity, sizeof *grown);
    if (!grown) return region_error(&set->builder->work, set->builder->error);
    if (set->count) memcpy(grown, set->ranges, set->count * sizeof *grown);
    set->ranges = grown;
    set->capacity = capacity;
  }
  set->ranges[set->count++] = (character_range){low, high};
  return NORMA_OK;
}

norma_status set_add_all(character_set *set, const character_set *other) {
  for (size_t i = 0; i < other->count; i++) TRY(set_add(set, other->ranges[i].low, other->ranges[i].high));
  return NORMA_OK;
}

static int compare_ranges(const void *left, const void *right) {
  const character_range *a = left, *b = right;
  if (a->low != b->low) return a->low < b->low ? -1 : 1;
  return (a->high > b->high) - (a->high < b->high);
}

/* In rising order, without ranges that touch. */
void set_tidy(character_set *set) {
  size_t kept = 0;
  if (set->count == 0) return;
  heap_sort(set->ranges, set->count, sizeof *set->ranges, compare_ranges);
  for (size_t i = 1; i < set->count; i++) {
    character_range *last = &set->ranges[kept], *next = &set->ranges[i];
    if (next->low > last->high + 1)
      set->ranges[++kept] = *next;
    else if (next->high > last->high)
      last->high = next->high;
  }
  set->count = kept + 1;
}

norma_status set_negate(character_set *set) {
  character_set others = {.builder = set->builder};
  uint32_t next = 0;
  set_tidy(set);
  for (size_t i = 0; i < set->count; i++) {
    if (set->ranges[i].low > next) TRY(set_add(&others, next, set->ranges[i].low - 1));
    next = set->ranges[i].high + 1;
  }
  if (next <= UNICODE_LAST) TRY(set_add(&others, next, UNICODE_LAST));
  *set = others;
  return NORMA_OK;
}

/* Of a tidy set. */
static bool set_has(const character_set *set, uint32_t character) {
  size_t low = 0, high = set->count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (set->ranges[middle].high < character)
      low = middle + 1;
    else
      high = middle;
  }
  return low < set->count && set->ranges[low].low <= character;
}

/* ------------------------------------------------------------------------------------------------------------- case */

/* Characters that are one but for their case have one key: the lower case of their upper case. */
typedef struct fold_entry {
  uint32_t key, character;
} fold_entry;

struct fold_table {
  fold_entry *entries; /* by key */
  size_t count;
};

#define FOLD_LAST 0x1FFFFu /* no character beyond has another case */

static int compare_folds(const void *left, const void *right) {
  const fold_entry *a = left, *b = right;
  if (a->key != b->key) return a->key < b->key ? -1 : 1;
  return (a->character > b->character) - (a->character < b->character);
}

/* The Turkish letters are alone: their other case depends on the language. */
static bool fold_key(unicode_case *table, uint32_t character, uint32_t *key) {
  uint32_t upper;
  *key = character;
  if (character == 0x130 || character == 0x131) return true;
  return unicode_upper(table, character, &upper) && unicode_lower(table, upper, key);
}

static norma_status make_folds(regex_builder *builder) {
  struct fold_table *folds = region_allocate(&builder->work, sizeof *folds);
  uint32_t *keys = region_array(&builder->work, FOLD_LAST + 1, sizeof *keys);
  uint8_t *members = region_array(&builder->work, FOLD_LAST + 1, sizeof *members);
  unicode_case table;
  bool good = true;
  if (!folds || !keys || !members) return region_error(&builder->work, builder->error);
  unicode_case_init(&table, "");
  for (uint32_t c = 0; c <= FOLD_LAST && good; c++) {
    good = fold_key(&table, c, &keys[c]);
    if (keys[c] <= FOLD_LAST && members[keys[c]] < 2) members[keys[c]]++;
  }
  unicode_case_close(&table);
  if (!good)
    return regex_refuse(builder, NORMA_ERROR_UNSUPPORTED, "(?i) beyond ASCII needs the C library's locale C.UTF-8");
  folds->entries = region_array(&builder->work, 8192, sizeof *folds->entries);
  if (!folds->entries) return region_error(&builder->work, builder->error);
  for (uint32_t c = 0; c <= FOLD_LAST && folds->count < 8192; c++) {
    if (keys[c] <= FOLD_LAST && members[keys[c]] > 1) folds->entries[folds->count++] = (fold_entry){keys[c], c};
  }
  heap_sort(folds->entries, folds->count, sizeof *folds->entries, compare_folds);
  builder->folds = folds;
  return NORMA_OK;
}

/* Without tables: letters, and the two characters beyond ASCII that differ from k and s by case alone. */
static norma_status fold_ascii(character_set *set, const character_set *before) {
  for (uint32_t c = 'a'; c <= 'z'; c++) {
    const uint32_t upper = c - 'a' + 'A', other = c == 'k' ? 0x212A : c == 's' ? 0x17F : c;
    if (!set_has(before, c) && !set_has(before, upper)) continue;
    TRY(set_add(set, c, c));
    TRY(set_add(set, upper, upper));
    TRY(set_add(set, other, other));
  }
  return NORMA_OK;
}

static norma_status fold_by_table(character_set *set, const character_set *before) {
  regex_builder *builder = set->builder;
  if (!builder->folds) TRY(make_folds(builder));
  const struct fold_table *folds = builder->folds;
  for (size_t first = 0, end; first < folds->count; first = end) {
    bool any = false;
    for (end = first; end < folds->count && folds->entries[end].key == folds->entries[first].key; end++)
      any = any || set_has(before, folds->entries[end].character);
    for (size_t i = first; any && i < end; i++)
      TRY(set_add(set, folds->entries[i].character, folds->entries[i].character));
  }
  return NORMA_OK;
}

norma_status set_fold(character_set *set) {
  character_set before = {.builder = set->builder};
  set_tidy(set);
  if (set->count == 0 || (set->ranges[0].low == 0 && set->ranges[0].high == UNICODE_LAST)) return NORMA_OK;
  TRY(set_add_all(&before, set));
  const bool is_ascii = set->ranges[set->count - 1].high < 0x80;
  TRY(is_ascii ? fold_ascii(set, &before) : fold_by_table(set, &before));
  set_tidy(set);
  return NORMA_OK;
}
