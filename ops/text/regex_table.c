/*
 * The table of a program: all sets of places where it can be, each a state with a row for every class of bytes (the
 * subset construction). Made at load, and given up where there are too many, or it would take too long.
 *
 * What a set can do depends on the assertions that hold, so on the byte before, which is part of the state, and the one
 * behind.
 */
#include "ops/heap_sort.h"
#include "ops/key_table.h"
#include "ops/text/regex_program.h"

#define TABLE_MOST_WORK 20000000 /* places looked at: some tens of milliseconds */

typedef struct table_state {
  const uint32_t *places; /* in rising order */
  size_t count;
  uint64_t hash;
  regex_side before;
} table_state;

typedef struct table_maker {
  regex *regex;
  region *work;
  regex_threads threads;
  uint32_t *places; /* of the state that is looked for */
  table_state *states;
  uint32_t *slots; /* states by their hash; 0: free */
  uint32_t *next;
  bool *accepts;
  size_t count; /* of states; the first is dead */
  size_t spent; /* of TABLE_MOST_WORK */
  bool is_over;
} table_maker;

#define TABLE_SLOTS (4 * 1024)
_Static_assert(REGEX_MOST_STATES * 256 < INT32_MAX, "rows, and a bit, fit an entry");
_Static_assert(TABLE_SLOTS > 2 * REGEX_MOST_STATES, "slots are half empty");

static int compare_places(const void *left, const void *right) {
  const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
  return (a > b) - (a < b);
}

/* The state of the seeds, made if it is new; *state 0 where there are none. false: there is no memory. */
static bool table_intern(table_maker *maker, regex_side before, uint32_t *state) {
  const size_t count = maker->threads.seed_count;
  uint64_t hash = (uint64_t)before + 1;
  *state = 0;
  if (count == 0) return true;
  for (size_t i = 0; i < count; i++) maker->places[i] = maker->threads.seeds[i].instruction;
  heap_sort(maker->places, count, sizeof *maker->places, compare_places);
  for (size_t i = 0; i < count; i++) hash = key_hash_words(hash, maker->places[i]);
  size_t slot = hash % TABLE_SLOTS;
  for (; maker->slots[slot]; slot = (slot + 1) % TABLE_SLOTS) {
    const table_state *known = &maker->states[maker->slots[slot]];
    if (known->hash == hash && known->before == before && known->count == count &&
        memcmp(known->places, maker->places, count * sizeof *maker->places) == 0) {
      *state = maker->slots[slot];
      return true;
    }
  }
  if (maker->count == REGEX_MOST_STATES) {
    maker->is_over = true;
    return true;
  }
  uint32_t *places = region_array(maker->work, count, sizeof *places);
  if (!places) return false;
  memcpy(places, maker->places, count * sizeof *places);
  *state = maker->slots[slot] = (uint32_t)maker->count++;
  maker->states[*state] = (table_state){places, count, hash, before};
  return true;
}

/* The row of a state, for the bytes that are this neighbour of it (any, where the program has no assertions). */
static bool table_fill(table_maker *maker, uint32_t state, regex_side behind) {
  const regex *regex = maker->regex;
  const table_state from = maker->states[state];
  regex_threads *threads = &maker->threads;
  size_t begin;
  threads->seed_count = from.count;
  for (size_t i = 0; i < from.count; i++) threads->seeds[i] = (regex_place){from.places[i], 0};
  const bool matches = regex_threads_follow(threads, regex_assertions(from.before, behind), &begin);
  maker->spent += from.count;
  if (behind == SIDE_NONE) maker->accepts[state] = matches;
  for (int group = 0; group < regex->classes && !maker->is_over; group++) {
    const regex_side side = regex->has_assertions ? regex_side_of(regex->example[group]) : SIDE_NONE;
    uint32_t next;
    if (side != behind) continue;
    regex_threads_take(threads, regex->example[group]);
    maker->spent += threads->waiting_count + 1;
    if (!table_intern(maker, side, &next)) return false;
    maker->next[state * (size_t)regex->classes + (size_t)group] = next * (uint32_t)regex->classes << 1 | matches;
    maker->is_over = maker->is_over || maker->spent > TABLE_MOST_WORK;
  }
  return true;
}

static bool table_make(table_maker *maker) {
  const regex_side sides = maker->regex->has_assertions ? SIDE_COUNT : 1;
  maker->count = 1;
  for (regex_side before = SIDE_NONE; before < sides; before++) {
    maker->threads.seed_count = 1;
    maker->threads.seeds[0] = (regex_place){0, 0};
    if (!table_intern(maker, before, &maker->regex->starts[before])) return false;
  }
  for (regex_side before = sides; before < SIDE_COUNT; before++)
    maker->regex->starts[before] = maker->regex->starts[SIDE_NONE];
  for (uint32_t state = 1; state < maker->count && !maker->is_over; state++) {
    for (regex_side behind = SIDE_NONE; behind < sides && !maker->is_over; behind++) {
      if (!table_fill(maker, state, behind)) return false;
    }
  }
  return true;
}

norma_status regex_tabulate(regex *regex, region *region, struct region *work, norma_error *error) {
  const size_t row = (size_t)regex->classes;
  table_maker maker = {.regex = regex, .work = work};
  void *block = region_allocate(work, regex_threads_bytes(regex));
  maker.places = region_array(work, regex->count + 1, sizeof *maker.places);
  maker.states = region_array(work, REGEX_MOST_STATES, sizeof *maker.states);
  maker.slots = region_array(work, TABLE_SLOTS, sizeof *maker.slots);
  maker.next = region_array(work, REGEX_MOST_STATES * row, sizeof *maker.next);
  maker.accepts = region_array(work, REGEX_MOST_STATES, sizeof *maker.accepts);
  if (!block || !maker.places || !maker.states || !maker.slots || !maker.next || !maker.accepts)
    return region_error(work, error);
  regex_threads_init(&maker.threads, regex, block);
  if (!table_make(&maker)) return region_error(work, error);
  if (maker.is_over) return NORMA_OK;
  uint32_t *next = region_array(region, maker.count * row, sizeof *next);
  bool *accepts = region_array(region, maker.count, sizeof *accepts);
  if (!next || !accepts) return region_error(region, error);
  memcpy(next, maker.next, maker.count * row * sizeof *next);
  memcpy(accepts, maker.accepts, maker.count * sizeof *accepts);
  for (int side = 0; side < SIDE_COUNT; side++) {
    regex->starts[side] *= (uint32_t)row;
    for (int byte = 0; byte < 256; byte++)
      regex->can_begin[byte] = regex->can_begin[byte] || next[regex->starts[side] + regex->class_of[byte]] != 0;
  }
  regex->states = maker.count;
  regex->next = next;
  regex->accepts = accepts;
  return NORMA_OK;
}
