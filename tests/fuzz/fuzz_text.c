/* libFuzzer: Einsum's equations, regular expressions, and the operators of strings. The first byte chooses the
 * operator; of the lines that follow the first is the equation, pattern or separator, the others are shapes or
 * texts. */
#include "tests/fuzz/fuzzing.h"
#include "tests/support/model_builder.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_LINES = 12, MOST_TEXT = 4096, MOST_NUMBERS = 100000 };

typedef struct lines {
  char text[MOST_TEXT + 1];
  char *line[MOST_LINES]; /* terminated */
  size_t count;
} lines;

static void split(lines *lines, const uint8_t *data, size_t size) {
  if (size > MOST_TEXT) size = MOST_TEXT;
  memcpy(lines->text, data, size);
  lines->text[size] = '\0';
  lines->count = 0;
  for (char *next = lines->text; next && lines->count < MOST_LINES;) {
    lines->line[lines->count++] = next;
    next = strchr(next, '\n');
    if (next) *next++ = '\0';
  }
}

/* ------------------------------------------------------------------------------------------------------------- runs */

static void load_and_run(model_builder *builder, const norma_tensor *inputs, size_t count) {
  size_t size;
  const void *bytes = builder_bytes(builder, &size);
  norma_runtime *runtime = fuzz_runtime(1, NULL);
  norma_load_options options = {.struct_size = sizeof options, .runtime = runtime};
  norma_run_options run_options = {.struct_size = sizeof run_options, .timeout = 2};
  norma_model *model = NULL;
  norma_session *session = NULL;
  norma_error error;
  norma_status status = norma_model_load_memory(bytes, size, &options, &model, &error);
  if (status == NORMA_OK) status = norma_session_create(model, NULL, &session, &error);
  for (size_t i = 0; i < count && status == NORMA_OK; i++) {
    status = norma_session_set_input(session, NULL, &inputs[i], &error);
  }
  if (status == NORMA_OK) status = norma_session_run_with(session, &run_options, &error);
  fuzz_check(status, &error);
  norma_session_destroy(session);
  norma_model_destroy(model);
  fuzz_end(runtime);
}

/* Operands of the shapes that the lines' digits say. */
static void run_einsum(const lines *lines) {
  static float numbers[MOST_NUMBERS];
  norma_tensor inputs[4];
  char names[32] = "";
  model_builder *builder = builder_create(12);
  size_t count = 0;
  for (size_t i = 1; i < lines->count && count < 4; i++) {
    int64_t dims[NORMA_MAX_RANK], elements = 1;
    char name[] = {(char)('p' + count), '\0', '\0'};
    int rank = 0;
    for (const char *c = lines->line[i]; *c && rank < 6; c++) {
      const int64_t dim = *c >= '0' && *c <= '9' ? *c - '0' : 1;
      if (elements * dim > MOST_NUMBERS) break;
      dims[rank++] = dim;
      elements *= dim;
    }
    if (norma_tensor_init(&inputs[count], NORMA_FLOAT, rank, dims, numbers) != NORMA_OK) continue;
    builder_input(builder, name, NORMA_FLOAT, -1, NULL);
    strcat(strcat(names, name), " ");
    count++;
  }
  if (count > 0) {
    builder_string(builder_node(builder, "Einsum", names, "y"), "equation", lines->line[0]);
    builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
    load_and_run(builder, inputs, count);
  }
  builder_destroy(builder);
}

/* All lines but the first, as a tensor of strings. */
static norma_tensor texts_of(const lines *lines, norma_string *strings) {
  norma_tensor tensor;
  int64_t count = 0;
  for (size_t i = 1; i < lines->count; i++) {
    strings[count++] = (norma_string){lines->line[i], strlen(lines->line[i])};
  }
  if (norma_tensor_init(&tensor, NORMA_STRING, 1, &count, strings) != NORMA_OK) abort();
  return tensor;
}

static void run_on_texts(const lines *lines, const char *domain, const char *op_type, const char *outputs,
                         void (*add_attributes)(const struct lines *lines, node *node)) {
  norma_string strings[MOST_LINES];
  const norma_tensor texts = texts_of(lines, strings);
  model_builder *builder = builder_create(20);
  builder_import(builder, "com.microsoft", 1);
  builder_input(builder, "x", NORMA_STRING, 1, (int64_t[]){-1});
  add_attributes(lines, builder_named_node(builder, "", domain, op_type, "x", outputs));
  builder_output(builder, "y", NORMA_UNDEFINED, -1, NULL);
  load_and_run(builder, &texts, 1);
  builder_destroy(builder);
}

/* ------------------------------------------------------------------------------------------------------- attributes */

static void add_pattern(const lines *lines, node *node) {
  builder_string(node, "pattern", lines->line[0]);
}

static void add_delimiter(const lines *lines, node *node) {
  builder_string(node, "delimiter", lines->line[0]);
  if (strlen(lines->line[0]) % 2) builder_int(node, "maxsplit", (int64_t)lines->count);
}

static void add_stopwords(const lines *lines, node *node) {
  const char *words[2] = {lines->line[0], lines->count > 1 ? lines->line[1] : "a"};
  builder_string(node, "case_change_action", lines->count % 2 ? "LOWER" : "UPPER");
  builder_int(node, "is_case_sensitive", lines->count % 3 == 0);
  builder_string_list(node, "stopwords", 2, words);
}

static void add_token_pattern(const lines *lines, node *node) {
  builder_int(node, "mark", (int64_t)(lines->count % 2));
  builder_int(node, "mincharnum", 1);
  builder_string(node, "pad_value", "#");
  if (strlen(lines->line[0]) % 2) {
    builder_string(node, "tokenexp", lines->line[0]);
  } else {
    const char *separators[2] = {lines->line[0], lines->count > 1 ? lines->line[1] : " "};
    builder_string_list(node, "separators", 2, separators);
  }
}

static void add_grams(const lines *lines, node *node) {
  const char *words[4];
  for (int i = 0; i < 4; i++) words[i] = lines->line[(size_t)i % lines->count];
  builder_string(node, "mode", "TFIDF");
  builder_int(node, "min_gram_length", 1);
  builder_int(node, "max_gram_length", 2);
  builder_int(node, "max_skip_count", (int64_t)(lines->count % 3));
  builder_ints(node, "ngram_counts", 2, (int64_t[]){0, 2});
  builder_ints(node, "ngram_indexes", 3, (int64_t[]){0, 1, 2});
  builder_string_list(node, "pool_strings", 4, words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static lines lines;
  if (size < 2) return 0;
  split(&lines, data + 1, size - 1);
  switch (data[0] % 6) {
  case 0:
    run_einsum(&lines);
    break;
  case 1:
    run_on_texts(&lines, "", "RegexFullMatch", "y", add_pattern);
    break;
  case 2:
    run_on_texts(&lines, "", "StringSplit", "y z", add_delimiter);
    break;
  case 3:
    run_on_texts(&lines, "", "StringNormalizer", "y", add_stopwords);
    break;
  case 4:
    run_on_texts(&lines, "com.microsoft", "Tokenizer", "y", add_token_pattern);
    break;
  default:
    run_on_texts(&lines, "", "TfIdfVectorizer", "y", add_grams);
    break;
  }
  return 0;
}
