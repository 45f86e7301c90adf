/* Classes of characters by name, and sets of characters as programs over the bytes of UTF-8. */
#include "ops/text/regex_program.h"

/* ------------------------------------------------------------------------------------------------------------ named */

typedef struct named_class {
  const char *name;
  size_t count;
  character_range ranges[4];
} named_class;

static const named_class *find_class(const named_class *classes, size_t count, const char *name, size_t size) {
  for (size_t i = 0; i < count; i++) {
    if (strlen(classes[i].name) == size && memcmp(classes[i].name, name, size) == 0) return &classes[i];
  }
  return NULL;
}

bool set_perl_ranges(char letter, const character_range **ranges, size_t *count) {
  static const named_class classes[] = {
      {"d", 1, {{'0', '9'}}},
      {"s", 3, {{'\t', '\n'}, {'\f', '\r'}, {' ', ' '}}},
      {"w", 4, {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}},
  };
  const named_class *found = find_class(classes, sizeof classes / sizeof *classes, &letter, 1);
  if (!found) return false;
  *ranges = found->ranges;
  *count = found->count;
  return true;
}

bool set_posix_ranges(const char *name, size_t size, const character_range **ranges, size_t *count) {
  static const named_class classes[] = {
      {"alnum", 3, {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}},
      {"alpha", 2, {{'A', 'Z'}, {'a', 'z'}}},
      {"ascii", 1, {{0, 0x7F}}},
      {"blank", 2, {{'\t', '\t'}, {' ', ' '}}},
      {"cntrl", 2, {{0, 0x1F}, {0x7F, 0x7F}}},
      {"digit", 1, {{'0', '9'}}},
      {"graph", 1, {{'!', '~'}}},
      {"lower", 1, {{'a', 'z'}}},
      {"print", 1, {{' ', '~'}}},
      {"punct", 4, {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}},
      {"space", 2, {{'\t', '\r'}, {' ', ' '}}},
      {"upper", 1, {{'A', 'Z'}}},
      {"word", 4, {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}},
      {"xdigit", 3, {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}},
  };
  const named_class *found = find_class(classes, sizeof classes / sizeof *classes, name, size);
  if (!found) return false;
  *ranges = found->ranges;
  *count = found->count;
  return true;
}

static bool is_category(const char *name, size_t size) {
  static const char *const names[] = {"Cc", "Cf", "Co", "Cs", "Ll", "Lm", "Lo", "Lt", "Lu", "Mc",
                                      "Me", "Mn", "Nd", "Nl", "No", "Pc", "Pd", "Pe", "Pf", "Pi",
                                      "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs"};
  if (size == 1) return strchr("CLMNPSZ", name[0]) != NULL;
  for (size_t i = 0; size == 2 && i < sizeof names / sizeof *names; i++) {
    if (memcmp(names[i], name, 2) == 0) return true;
  }
  return false;
}

norma_status set_add_category(character_set *set, const char *name, size_t size) {
  if (size == 3 && memcmp(name, "Any", 3) == 0) return set_add(set, 0, UNICODE_LAST);
  if (!is_category(name, size))
    return regex_refuse(set->builder, NORMA_ERROR_UNSUPPORTED, "\\p{%.*s} is no general category",
                        size > 40 ? 40 : (int)size, name);
  unicode_category *category = unicode_find_category();
  if (!category)
    return regex_refuse(set->builder, NORMA_ERROR_UNSUPPORTED, "\\p{%.*s} needs libutf8proc, which is not installed",
                        (int)size, name);
  for (uint32_t c = 0, first = 0, inside = 0; c <= UNICODE_LAST + 1; c++) {
    /* Characters that are not assigned (Cn) are in none of the categories. */
    const char *found = c <= UNICODE_LAST ? category((int32_t)c) : "";
    const bool is_in = c <= UNICODE_LAST && found[0] == name[0] &&
                       (size == 2 ? found[1] == name[1] : found[1] != 'n' || found[0] != 'C');
    if (is_in && !inside) first = c;
    if (!is_in && inside) TRY(set_add(set, first, c - 1));
    inside = is_in;
  }
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------ UTF-8 */

/* Characters whose bytes are any of these, independent of each other. */
typedef struct byte_sequence {
  int size;
  uint8_t low[4], high[4];
} byte_sequence;

typedef struct sequence_list {
  region *region;
  byte_sequence *items;
  size_t count, capacity;
} sequence_list;

static bool sequence_add(sequence_list *list, const byte_sequence *item) {
  if (list->count == list->capacity) {
    const size_t capacity = list->capacity ? 2 * list->capacity : 16;
    byte_sequence *grown = region_array(list->region, capacity, sizeof *grown);
    if (!grown) return false;
    if (list->count) memcpy(grown, list->items, list->count * sizeof *grown);
    list->items = grown;
    list->capacity = capacity;
  }
  list->items[list->count++] = *item;
  return true;
}

/* The longest range from `low` on, up to `high`, that is one sequence: all its characters have as many bytes, and where
 * a byte is not the same in all of them, those behind it take all their values. */
static uint32_t sequence_end(uint32_t low, uint32_t high) {
  static const uint32_t ends[] = {0x7F, 0x7FF, 0xFFFF, UNICODE_LAST};
  for (int i = 0; i < 4; i++) {
    if (low <= ends[i] && high > ends[i]) high = ends[i];
  }
  if (low < 0x80) return high;
  for (int bits = 18; bits > 0; bits -= 6) {
    const uint32_t block = 1u << bits;
    if (low / block == high / block) continue; /* the bytes above are the same */
    if (low % block != 0)
      high = low / block * block + block - 1; /* up to the next block */
    else if ((high + 1) % block != 0)
      high = high / block * block - 1; /* whole blocks */
  }
  return high;
}

static bool make_sequences(const character_set *set, sequence_list *list) {
  for (size_t i = 0; i < set->count; i++) {
    for (uint32_t low = set->ranges[i].low, high; low <= set->ranges[i].high; low = high + 1) {
      if (low >= 0xD800 && low < 0xE000) { /* surrogates are not written in UTF-8 */
        high = 0xDFFF;
        continue;
      }
      high = sequence_end(low, low < 0xD800 && set->ranges[i].high >= 0xD800 ? 0xD7FF : set->ranges[i].high);
      byte_sequence item;
      item.size = utf8_encode(low, (char *)item.low);
      utf8_encode(high, (char *)item.high);
      if (!sequence_add(list, &item)) return false;
    }
  }
  return true;
}

/* Appends a fragment that takes the bytes from `depth` on of any of the sequences, which are in rising order and alike
 * before; at `depth`, their ranges are the same or have no byte in common. */
static norma_status compile_sequences(regex_builder *builder, const byte_sequence *items, size_t count, int depth) {
  size_t jump = SIZE_MAX; /* the last of the jumps to the end; each keeps the one before in its offset, plus 1 */
  for (size_t first = 0, end; first < count; first = end) {
    const byte_sequence *item = &items[first];
    for (end = first + 1; end < count && items[end].low[depth] == item->low[depth]; end++) {
    }
    const size_t split = builder->count;
    if (end < count) TRY(regex_append(builder, (regex_instruction){.operation = REGEX_SPLIT}));
    TRY(regex_append(builder, (regex_instruction){REGEX_BYTES, item->low[depth], item->high[depth], 0}));
    if (depth + 1 < item->size) TRY(compile_sequences(builder, item, end - first, depth + 1));
    if (end == count) break;
    TRY(regex_append(builder, (regex_instruction){.operation = REGEX_JUMP, .offset = (int32_t)(jump + 1)}));
    jump = builder->count - 1;
    builder->code[split].offset = (int32_t)(builder->count - split);
  }
  while (jump != SIZE_MAX) {
    const size_t before = (size_t)builder->code[jump].offset - 1;
    builder->code[jump].offset = (int32_t)(builder->count - jump);
    jump = before;
  }
  return NORMA_OK;
}

norma_status set_compile(character_set *set) {
  regex_builder *builder = set->builder;
  sequence_list list = {.region = &builder->work};
  set_tidy(set);
  if (!make_sequences(set, &list)) return region_error(&builder->work, builder->error);
  if (list.count == 0) return regex_append(builder, (regex_instruction){.operation = REGEX_FAIL});
  return compile_sequences(builder, list.items, list.count, 0);
}
