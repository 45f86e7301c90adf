#include "ops/text/regex_program.h"

#include <stdarg.h>
#include <stdio.h>

/* ---------------------------------------------------------------------------------------------------------- builder */

norma_status regex_refuse(const regex_builder *builder, norma_status status, const char *format, ...) {
  char reason[200];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, sizeof reason, format, arguments);
  va_end(arguments);
  return error_at_node(builder->error, status, builder->node, "%s: %s", builder->what, reason);
}

static norma_status regex_reserve(regex_builder *builder, size_t more) {
  const size_t count = builder->count + more;
  if (more > REGEX_MOST_INSTRUCTIONS || count > REGEX_MOST_INSTRUCTIONS)
    return regex_refuse(builder, NORMA_ERROR_UNSUPPORTED,
                        "the expression is too large, with its repetitions written out");
  if (count <= builder->capacity) return NORMA_OK;
  const size_t capacity = count < 64 ? 64 : 2 * count;
  regex_instruction *grown = region_array(&builder->work, capacity, sizeof *grown);
  if (!grown) return region_error(&builder->work, builder->error);
  if (builder->count) memcpy(grown, builder->code, builder->count * sizeof *grown);
  builder->code = grown;
  builder->capacity = capacity;
  return NORMA_OK;
}

norma_status regex_append(regex_builder *builder, regex_instruction instruction) {
  TRY(regex_reserve(builder, 1));
  builder->code[builder->count++] = instruction;
  return NORMA_OK;
}

norma_status regex_insert(regex_builder *builder, size_t at, size_t room) {
  TRY(regex_reserve(builder, room));
  memmove(builder->code + at + room, builder->code + at, (builder->count - at) * sizeof *builder->code);
  builder->count += room;
  return NORMA_OK;
}

norma_status regex_append_copy(regex_builder *builder, size_t begin, size_t count) {
  TRY(regex_reserve(builder, count));
  memcpy(builder->code + builder->count, builder->code + begin, count * sizeof *builder->code);
  builder->count += count;
  return NORMA_OK;
}

/* --------------------------------------------------------------------------------------------------------- programs */

uint8_t regex_assertions(regex_side before, regex_side after) {
  unsigned holds = (before == SIDE_WORD) != (after == SIDE_WORD) ? REGEX_WORD_EDGE : REGEX_NO_WORD_EDGE;
  if (before == SIDE_NONE) holds |= REGEX_BEGIN_TEXT;
  if (before == SIDE_NONE || before == SIDE_NEWLINE) holds |= REGEX_BEGIN_LINE;
  if (after == SIDE_NONE) holds |= REGEX_END_TEXT;
  if (after == SIDE_NONE || after == SIDE_NEWLINE) holds |= REGEX_END_LINE;
  return (uint8_t)holds;
}

/* Bytes are of one class where no instruction, and no assertion, tells them apart. */
static void find_classes(regex *regex) {
  bool begins[257] = {[0] = true};
  for (size_t i = 0; i < regex->count; i++) {
    const regex_instruction *at = &regex->program[i];
    if (at->operation == REGEX_ASSERT) regex->has_assertions = true;
    if (at->operation != REGEX_BYTES) continue;
    begins[at->low] = true;
    begins[at->high + 1] = true;
  }
  for (int byte = 1; byte < 256 && regex->has_assertions; byte++) {
    if (regex_side_of((uint8_t)byte) != regex_side_of((uint8_t)(byte - 1))) begins[byte] = true;
  }
  regex->classes = 0;
  for (int byte = 0; byte < 256; byte++) {
    if (begins[byte]) regex->example[regex->classes++] = (uint8_t)byte;
    regex->class_of[byte] = (uint8_t)(regex->classes - 1);
  }
}

static norma_status regex_finish(regex_builder *builder, const regex **made) {
  region *region = builder->node->graph->region;
  regex *regex = region_allocate(region, sizeof *regex);
  regex_instruction *program = region_array(region, builder->count, sizeof *program);
  if (!regex || !program) return region_error(region, builder->error);
  memcpy(program, builder->code, builder->count * sizeof *program);
  regex->program = program;
  regex->count = builder->count;
  find_classes(regex);
  TRY(regex_tabulate(regex, region, &builder->work, builder->error));
  *made = regex;
  return NORMA_OK;
}

norma_status regex_compile(const node *node, const char *what, const norma_string *pattern, const regex **made,
                           norma_error *error) {
  regex_builder builder = {.node = node, .what = what, .error = error};
  region_init(&builder.work, node->graph->region->memory);
  norma_status status = regex_parse(&builder, pattern);
  if (status == NORMA_OK) status = regex_append(&builder, (regex_instruction){.operation = REGEX_MATCH});
  if (status == NORMA_OK) status = regex_finish(&builder, made);
  region_free(&builder.work);
  return status;
}
