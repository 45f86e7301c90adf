#include "ops/text/regex_program.h"

#define REGEX_POLL_STEPS 0x400000 /* instructions between two questions whether to go on */

/* ---------------------------------------------------------------------------------------------------------- threads */

size_t regex_threads_bytes(const regex *regex) {
  return (regex->count + 1) * (2 * sizeof(regex_place) + 2 * sizeof(uint32_t) + sizeof(bool));
}

void regex_threads_init(regex_threads *threads, const regex *regex, void *block) {
  const size_t count = regex->count + 1;
  *threads = (regex_threads){.regex = regex, .seeds = block};
  threads->waiting = threads->seeds + count;
  threads->stack = (uint32_t *)(threads->waiting + count);
  threads->visited = threads->stack + count;
  threads->is_visited = (bool *)(threads->visited + count);
}

/* Puts an instruction onto the stack, once in a step. */
static void visit(regex_threads *threads, size_t instruction, size_t *height, size_t *visited) {
  if (threads->is_visited[instruction]) return;
  threads->is_visited[instruction] = true;
  threads->visited[(*visited)++] = (uint32_t)instruction;
  threads->stack[(*height)++] = (uint32_t)instruction;
}

bool regex_threads_follow(regex_threads *threads, uint8_t assertions, size_t *begin) {
  const regex_instruction *program = threads->regex->program;
  size_t visited = 0;
  bool matches = false;
  threads->waiting_count = 0;
  for (size_t i = 0; i < threads->seed_count; i++) {
    const size_t first = threads->seeds[i].begin;
    size_t height = 0;
    visit(threads, threads->seeds[i].instruction, &height, &visited);
    while (height > 0) {
      const size_t at = threads->stack[--height];
      const regex_instruction *instruction = &program[at];
      switch ((regex_operation)instruction->operation) {
      case REGEX_BYTES:
        threads->waiting[threads->waiting_count++] = (regex_place){(uint32_t)at, first};
        break;
      case REGEX_SPLIT:
        visit(threads, at + 1, &height, &visited);
        visit(threads, (size_t)((int64_t)at + instruction->offset), &height, &visited);
        break;
      case REGEX_JUMP:
        visit(threads, (size_t)((int64_t)at + instruction->offset), &height, &visited);
        break;
      case REGEX_ASSERT:
        if (instruction->low & assertions) visit(threads, at + 1, &height, &visited);
        break;
      case REGEX_MATCH:
        if (!matches) *begin = first;
        matches = true;
        break;
      case REGEX_FAIL:
        break;
      }
    }
  }
  for (size_t i = 0; i < visited; i++) threads->is_visited[threads->visited[i]] = false;
  return matches;
}

void regex_threads_take(regex_threads *threads, uint8_t byte) {
  const regex_instruction *program = threads->regex->program;
  threads->seed_count = 0;
  for (size_t i = 0; i < threads->waiting_count; i++) {
    const regex_place place = threads->waiting[i];
    if (byte < program[place.instruction].low || byte > program[place.instruction].high) continue;
    threads->seeds[threads->seed_count++] = (regex_place){place.instruction + 1, place.begin};
  }
}

/* --------------------------------------------------------------------------------------------------------- matching */

/* Whether the run has to end, asked at some bytes: each may take a step of every instruction. */
static bool regex_interrupted(const run_context *context, const regex *regex, size_t at) {
  const size_t stride = REGEX_POLL_STEPS / (regex->count + 1) + 1;
  return at % stride == stride - 1 && run_cancelled(context);
}

size_t regex_scratch_bytes(const regex *regex) {
  return size_align(regex_threads_bytes(regex), 64);
}

static regex_side side_before(const char *text, size_t at) {
  return at == 0 ? SIDE_NONE : regex_side_of((uint8_t)text[at - 1]);
}

static regex_side side_behind(const char *text, size_t size, size_t at) {
  return at == size ? SIDE_NONE : regex_side_of((uint8_t)text[at]);
}

static bool table_matches(const regex *regex, const char *text, size_t size) {
  size_t row = regex->starts[SIDE_NONE];
  for (size_t i = 0; i < size && row; i++) row = regex->next[row + regex->class_of[(uint8_t)text[i]]] >> 1;
  return regex->accepts[row / (size_t)regex->classes];
}

bool regex_matches(const run_context *context, const regex *regex, const char *text, size_t size, void *scratch) {
  regex_threads threads;
  size_t begin;
  if (regex->next) return table_matches(regex, text, size);
  regex_threads_init(&threads, regex, scratch);
  threads.seeds[threads.seed_count++] = (regex_place){0, 0};
  for (size_t at = 0;; at++) {
    const uint8_t assertions = regex_assertions(side_before(text, at), side_behind(text, size, at));
    const bool matches = regex_threads_follow(&threads, assertions, &begin);
    if (at == size) return matches;
    if (threads.waiting_count == 0) return false;
    if (regex_interrupted(context, regex, at)) return false;
    regex_threads_take(&threads, (uint8_t)text[at]);
  }
}

/* -------------------------------------------------------------------------------------------------------- searching */

static bool begins_character(const char *text, size_t size, size_t at) {
  return at == size || ((unsigned char)text[at] & 0xC0) != 0x80;
}

/* The longest match that begins at `begin`; adds the bytes that it read to *steps. */
static bool table_match_at(const regex *regex, const char *text, size_t size, size_t begin, size_t *end,
                           size_t *steps) {
  size_t row = regex->starts[side_before(text, begin)], at = begin;
  bool found = false;
  for (; at < size && row; at++) {
    const uint32_t entry = regex->next[row + regex->class_of[(uint8_t)text[at]]];
    if (entry & 1) {
      *end = at;
      found = true;
    }
    row = entry >> 1;
  }
  *steps += at - begin + 1;
  if (!regex->accepts[row / (size_t)regex->classes]) return found;
  *end = size;
  return true;
}

/* All begins at once. A match that begins earlier is better, and of those that begin together the longest. */
static bool threads_search(const run_context *context, regex_threads *threads, const char *text, size_t size,
                           size_t start, size_t *begin, size_t *end) {
  bool found = false;
  for (size_t at = start;; at++) {
    size_t first;
    if (!found && begins_character(text, size, at)) threads->seeds[threads->seed_count++] = (regex_place){0, at};
    const uint8_t assertions = regex_assertions(side_before(text, at), side_behind(text, size, at));
    if (regex_threads_follow(threads, assertions, &first)) {
      found = true;
      *begin = first;
      *end = at;
    }
    while (found && threads->waiting_count && threads->waiting[threads->waiting_count - 1].begin > *begin)
      threads->waiting_count--;
    if (at == size || (found && threads->waiting_count == 0)) return found;
    if (regex_interrupted(context, threads->regex, at)) return false;
    regex_threads_take(threads, (uint8_t)text[at]);
  }
}

bool regex_search(const run_context *context, const regex *regex, const char *text, size_t size, size_t start,
                  void *scratch, size_t *begin, size_t *end, size_t *steps) {
  const size_t most = 4 * (size - start) + 64; /* where begins are tried in vain too often, all of them go together */
  const size_t before = *steps;
  for (; regex->next && start <= size && *steps - before < most; start++) {
    while (start < size && !regex->can_begin[(uint8_t)text[start]]) start++;
    if (!begins_character(text, size, start) || !table_match_at(regex, text, size, start, end, steps)) continue;
    *begin = start;
    return true;
  }
  if (start > size) return false;
  regex_threads threads;
  regex_threads_init(&threads, regex, scratch);
  *steps += size - start;
  return threads_search(context, &threads, text, size, start, begin, end);
}
