/*
 * words MODEL: an example of embedding, in C and as it stands in C++. Strings, sequences and optionals go in and come
 * out, two operators are the program's own, and single runs have a deadline, can be cancelled and tell how far they
 * are. The model is words.onnx; words is a sequence of string tensors, rounds a number:
 *
 *     joined  = ConcatFromSequence(words)      shouted = example.Upper(joined)
 *     all     = words and shouted behind them  perhaps = Optional(joined)
 *     counted = example.Count(rounds), which takes as long as it is told to
 */
#include <norma.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void leave_unless(norma_status status, const norma_error *error, const char *what) {
  if (status == NORMA_OK) return;
  fprintf(stderr, "%s: %s\n", what, error->message);
  exit(1);
}

/* ------------------------------------------------------------------------------------------------ two new operators */

static norma_status infer_upper(norma_infer_context *context, void *user) {
  norma_element_type type;
  int rank;
  int64_t dims[NORMA_MAX_RANK];
  (void)user;
  if (!norma_infer_input(context, 0, &type, &rank, dims)) return norma_infer_fail(context, "no tensor to shout");
  if (type != NORMA_STRING) return norma_infer_fail(context, "%s cannot be shouted", norma_element_type_name(type));
  return norma_infer_set_output(context, 0, NORMA_STRING, rank, dims);
}

/* `user` is the runtime, whose memory the new strings are. */
static norma_status compute_upper(norma_run_context *context, void *user) {
  const norma_tensor *words = norma_run_input(context, 0);
  const norma_string *from = (const norma_string *)words->data;
  const size_t count = (size_t)norma_tensor_count(words);
  norma_string *strings = (norma_string *)norma_run_allocate(context, count * sizeof *strings);
  norma_value *value = NULL;
  if (!strings) return NORMA_ERROR_OUT_OF_MEMORY;
  for (size_t i = 0; i < count; i++) {
    char *characters = (char *)norma_run_allocate(context, from[i].size);
    if (!characters) return NORMA_ERROR_OUT_OF_MEMORY;
    for (size_t c = 0; c < from[i].size; c++) characters[c] = (char)toupper((unsigned char)from[i].data[c]);
    strings[i].data = characters;
    strings[i].size = from[i].size;
  }
  norma_status status =
      norma_value_create_strings((norma_runtime *)user, words->rank, words->dims, strings, &value, NULL);
  if (status == NORMA_OK) status = norma_run_set_output(context, 0, value);
  norma_value_destroy(value);
  return status;
}

static norma_status infer_count(norma_infer_context *context, void *user) {
  (void)user;
  return norma_infer_set_output(context, 0, NORMA_INT64, 0, NULL);
}

static norma_status compute_count(norma_run_context *context, void *user) {
  const int64_t rounds = *(const int64_t *)norma_run_input(context, 0)->data;
  norma_tensor *output = norma_run_output(context, 0);
  (void)user;
  if (rounds < 0) return norma_run_fail(context, "cannot count to %lld", (long long)rounds);
  int64_t counted = 0;
  while (counted < rounds && !norma_run_cancelled(context)) counted++;
  if (output) *(int64_t *)output->data = counted;
  return NORMA_OK;
}

static void register_operator(norma_runtime *runtime, const char *name,
                              norma_status (*infer)(norma_infer_context *, void *),
                              norma_status (*compute)(norma_run_context *, void *)) {
  norma_custom_operator custom;
  norma_error error;
  memset(&custom, 0, sizeof custom);
  custom.struct_size = sizeof custom;
  custom.domain = "example";
  custom.name = name;
  custom.since_version = custom.min_inputs = custom.max_inputs = custom.min_outputs = custom.max_outputs = 1;
  custom.infer = infer;
  custom.compute = compute;
  custom.user = runtime;
  leave_unless(norma_runtime_register(runtime, &custom, &error), &error, name);
}

/* ----------------------------------------------------------------------------------------------------------- values */

/* A string tensor of rank 1 from words between blanks. */
static norma_value *make_words(norma_runtime *runtime, const char *text) {
  norma_string strings[16];
  norma_value *value;
  norma_error error;
  int64_t count = 0;
  while (*text && count < 16) {
    strings[count].data = text;
    strings[count].size = strcspn(text, " ");
    text += strings[count].size;
    text += *text == ' ';
    count++;
  }
  leave_unless(norma_value_create_strings(runtime, 1, &count, strings, &value, &error), &error, "strings");
  return value;
}

static norma_value *make_sequence(norma_runtime *runtime, const char *first, const char *second) {
  norma_value *one = make_words(runtime, first), *other = make_words(runtime, second), *sequence;
  const norma_value *elements[2];
  norma_error error;
  elements[0] = one;
  elements[1] = other;
  leave_unless(norma_value_create_sequence(runtime, elements, 2, &sequence, &error), &error, "a sequence");
  norma_value_destroy(one); /* the sequence has its share */
  norma_value_destroy(other);
  return sequence;
}

/* "one two" for strings, "7" for numbers, "[one two, three]" for sequences, "nothing" for an optional without an
 * element. */
static void print_value(const norma_value *value) {
  const norma_tensor *tensor = norma_value_tensor(value);
  if (!tensor) {
    const bool is_sequence = norma_value_get_kind(value) == NORMA_VALUE_SEQUENCE;
    const size_t count = norma_value_count(value);
    if (!is_sequence && count == 0) printf("nothing");
    if (is_sequence) printf("[");
    for (size_t i = 0; i < count; i++) {
      if (i > 0) printf(", ");
      print_value(norma_value_element(value, i));
    }
    if (is_sequence) printf("]");
    return;
  }
  for (int64_t i = 0; i < norma_tensor_count(tensor); i++) {
    if (i > 0) printf(" ");
    if (tensor->type == NORMA_STRING) {
      const norma_string *string = (const norma_string *)tensor->data + i;
      printf("%.*s", (int)string->size, string->data);
    } else {
      int64_t number = 0;
      norma_tensor_get_integers(tensor, i, 1, &number);
      printf("%lld", (long long)number);
    }
  }
}

static void print_named(const char *name, const norma_value *value) {
  printf("%s: ", name);
  print_value(value);
  printf("\n");
}

/* Bytes as norma_value_write gives them. */
typedef struct bytes {
  unsigned char data[1024];
  size_t size;
} bytes;

static bool append(void *context, const void *data, size_t count) {
  bytes *all = (bytes *)context;
  if (count > sizeof all->data - all->size) return false;
  memcpy(all->data + all->size, data, count);
  all->size += count;
  return true;
}

/* ------------------------------------------------------------------------------------------------------------- runs */

static const char *const input_names[] = {"words", "rounds"};
static const char *const output_names[] = {"shouted", "all", "perhaps", "counted"};

/* All four outputs, in this order. */
static norma_status run(norma_runtime *runtime, norma_session *session, const norma_run_options *options,
                        const norma_value *words, int64_t rounds, const norma_value *outputs[4], norma_error *error) {
  norma_tensor number;
  norma_value *value = NULL;
  norma_status status = norma_tensor_init(&number, NORMA_INT64, 0, NULL, &rounds);
  if (status == NORMA_OK) status = norma_value_borrow_tensor(runtime, &number, &value, error);
  if (status == NORMA_OK) {
    const norma_value *inputs[2];
    inputs[0] = words;
    inputs[1] = value;
    status = norma_session_run_named(session, options, input_names, inputs, 2, output_names, outputs, 4, error);
  }
  norma_value_destroy(value);
  return status;
}

/* How far a run was when it was asked last. */
typedef struct watcher {
  size_t done, total;
} watcher;

static void note_progress(void *context, size_t done, size_t total) {
  watcher *seen = (watcher *)context;
  seen->done = done;
  seen->total = total;
}

static bool always(void *context) {
  (void)context;
  return true;
}

static void use(norma_runtime *runtime, norma_session *session) {
  const norma_value *outputs[4];
  norma_value *kept, *read_back;
  norma_error error;
  watcher seen = {0, 0};
  bytes written;
  norma_value *words = make_sequence(runtime, "one two", "three"), *others = make_sequence(runtime, "a", "b c d");
  norma_run_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.progress = note_progress;
  options.progress_context = &seen;

  leave_unless(run(runtime, session, &options, words, 7, outputs, &error), &error, "a run");
  for (int i = 0; i < 4; i++) print_named(output_names[i], outputs[i]);
  printf("progress: %s\n", seen.total > 0 && seen.done == seen.total ? "all steps" : "not all steps");

  /* an output is the session's until the next run; a copy stays */
  leave_unless(norma_value_copy(runtime, outputs[1], &kept, &error), &error, "a copy");
  leave_unless(run(runtime, session, NULL, others, 0, outputs, &error), &error, "a run");
  print_named("all", outputs[1]);
  print_named("kept", kept);

  /* a value as the bytes of a .pb file, and back */
  written.size = 0;
  leave_unless(norma_value_write(runtime, kept, "all", append, &written, &error), &error, "writing");
  leave_unless(norma_value_read(runtime, written.data, written.size, NORMA_VALUE_SEQUENCE, &read_back, &error), &error,
               "reading");
  print_named("read back", read_back);

  /* runs that end early, and the session goes on */
  options.timeout = 0.02;
  printf("timeout: %s\n", norma_status_text(run(runtime, session, &options, words, INT64_MAX, outputs, &error)));
  options.timeout = 0;
  options.is_cancelled = always;
  printf("cancel: %s\n", norma_status_text(run(runtime, session, &options, words, INT64_MAX, outputs, &error)));
  printf("failure: %s, %s\n", norma_status_text(run(runtime, session, NULL, words, -1, outputs, &error)), error.node);
  leave_unless(run(runtime, session, NULL, words, 3, outputs, &error), &error, "a run");
  print_named("counted", outputs[3]);

  norma_value_destroy(read_back);
  norma_value_destroy(kept);
  norma_value_destroy(others);
  norma_value_destroy(words);
}

int main(int argc, char **argv) {
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
  norma_error error;
  norma_load_options options;
  if (argc != 2) {
    fprintf(stderr, "usage: words MODEL\n");
    return 2;
  }
  leave_unless(norma_runtime_create(NULL, &runtime, &error), &error, "a runtime");
  register_operator(runtime, "Upper", infer_upper, compute_upper);
  register_operator(runtime, "Count", infer_count, compute_count);
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.runtime = runtime;
  leave_unless(norma_model_load(argv[1], &options, &model, &error), &error, argv[1]);
  leave_unless(norma_session_create(model, NULL, &session, &error), &error, "a session");
  use(runtime, session);
  norma_session_destroy(session);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  return 0;
}
