/*
 * custom_operator MODEL: an example of an operator of the embedding program, in C and as it stands in C++. It has
 * attributes, infers the shapes of several outputs, one of which only data tell, works on all threads, and refuses
 * models and data with messages of its own. The model is custom_operator.onnx.
 *
 *     means, highest, loud = example.Rolling(x)     x: float, rows x columns
 *
 *     size     attribute, int, 1 or more: how many neighbours in a row a mean is of
 *     limit    attribute, float, default 1e30: above it an element is loud
 *     ends     attribute, string, cut (default): means of `size` elements only; keep: at the end of a row, of fewer
 *     means    float, rows x (columns - size + 1), or rows x columns where the ends are kept
 *     highest  int64, rows: where the largest mean of each row stands
 *     loud     int64, as many as there are: row * columns + column of each loud element
 *
 * The last two are computed only where the model uses them.
 */
#include <norma.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEANS, HIGHEST, LOUD };

/* ------------------------------------------------------------------------------------------------------------ infer */

/* Types and shapes, as far as they are known: dims[i] is -1 where it is not, and then so is the output's. */
static norma_status rolling_infer(norma_infer_context *context, void *user) {
  norma_element_type type;
  int rank;
  int64_t dims[NORMA_MAX_RANK], means[2] = {-1, -1}, loud = -1;
  norma_status status;
  norma_node_info node;
  const int64_t size = norma_infer_attribute_int(context, "size", 0);
  const char *ends = norma_infer_attribute_string(context, "ends", "cut");
  (void)user;
  if (size < 1) return norma_infer_fail(context, "size is %lld, expected 1 or more", (long long)size);
  if (strcmp(ends, "cut") != 0 && strcmp(ends, "keep") != 0)
    return norma_infer_fail(context, "ends is '%.20s', expected cut or keep", ends);
  if (!norma_infer_input(context, 0, &type, &rank, dims)) return norma_infer_fail(context, "x is no tensor");
  if (type != NORMA_UNDEFINED && type != NORMA_FLOAT)
    return norma_infer_fail(context, "x is %s, expected float", norma_element_type_name(type));
  if (rank != -1 && rank != 2) return norma_infer_fail(context, "x has %d axes, expected 2", rank);
  if (rank == 2) {
    const bool cuts = strcmp(ends, "cut") == 0;
    if (cuts && dims[1] != -1 && dims[1] < size)
      return norma_infer_fail(context, "x has %lld columns, and size is %lld", (long long)dims[1], (long long)size);
    means[0] = dims[0];
    means[1] = dims[1] == -1 || !cuts ? dims[1] : dims[1] - size + 1;
  }
  /* a node may have fewer outputs than the operator */
  node.struct_size = sizeof node;
  status = norma_node_describe(norma_infer_node(context), &node);
  if (status == NORMA_OK) status = norma_infer_set_output(context, MEANS, NORMA_FLOAT, 2, means);
  if (status == NORMA_OK && node.output_count > HIGHEST)
    status = norma_infer_set_output(context, HIGHEST, NORMA_INT64, 1, means);
  if (status == NORMA_OK && node.output_count > LOUD)
    status = norma_infer_set_output(context, LOUD, NORMA_INT64, 1, &loud);
  return status;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

/* What all threads share; each row is written by one of them. */
typedef struct rolling {
  const float *x;
  int64_t columns, size, means_columns;
  float limit;
  float *means;
  int64_t *highest;    /* NULL: nobody wants them */
  int64_t *loud_count; /* of each row; -1: the row holds a NaN */
} rolling;

static float rolling_mean(const rolling *all, const float *row, int64_t column) {
  const int64_t left = all->columns - column, count = left < all->size ? left : all->size;
  float sum = 0;
  for (int64_t i = 0; i < count; i++) sum += row[column + i];
  return sum / (float)count;
}

static void rolling_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const rolling *all = (const rolling *)argument;
  (void)worker;
  for (int64_t r = begin; r < end; r++) {
    const float *row = all->x + r * all->columns;
    float *means = all->means + r * all->means_columns;
    int64_t best = 0, count = 0;
    for (int64_t i = 0; i < all->columns && count >= 0; i++)
      count = row[i] != row[i] ? -1 : count + (row[i] > all->limit);
    for (int64_t i = 0; i < all->means_columns; i++) {
      means[i] = rolling_mean(all, row, i);
      if (means[i] > means[best]) best = i;
    }
    if (all->highest) all->highest[r] = best;
    all->loud_count[r] = count;
  }
}

/* An output that only data tell is made when they have told. */
static norma_status rolling_write_loud(norma_run_context *context, const rolling *all, int64_t rows, int64_t count) {
  norma_tensor *output = norma_run_allocate_output(context, LOUD, NORMA_INT64, 1, &count);
  if (!output) return NORMA_OK; /* nobody wants it; or it failed, which the run knows */
  int64_t *loud = (int64_t *)output->data;
  for (int64_t i = 0; i < rows * all->columns; i++) {
    if (all->x[i] > all->limit) *loud++ = i;
  }
  return NORMA_OK;
}

static norma_status rolling_compute(norma_run_context *context, void *user) {
  const norma_tensor *x = norma_run_input(context, 0);
  norma_tensor *highest = norma_run_output(context, HIGHEST);
  norma_tensor *means = norma_run_output(context, MEANS);
  rolling all;
  int64_t loud = 0;
  const int64_t rows = x->dims[0];
  all.x = (const float *)x->data;
  all.columns = x->dims[1];
  all.size = norma_run_attribute_int(context, "size", 0);
  all.limit = norma_run_attribute_float(context, "limit", 1e30f);
  all.means_columns =
      strcmp(norma_run_attribute_string(context, "ends", "cut"), "cut") == 0 ? all.columns - all.size + 1 : all.columns;
  all.highest = highest ? (int64_t *)highest->data : NULL;
  all.loud_count = (int64_t *)norma_run_allocate(context, (size_t)rows * sizeof(int64_t));
  /* a model may leave out any output, and the means are needed all the same */
  all.means = means ? (float *)means->data
                    : (float *)norma_run_allocate(context, (size_t)(rows * all.means_columns) * sizeof(float));
  if (!all.loud_count || !all.means) return NORMA_ERROR_OUT_OF_MEMORY;

  const norma_status status = norma_run_parallel(context, rows, 16, rolling_rows, &all);
  if (status != NORMA_OK) return status;
  for (int64_t r = 0; r < rows; r++) {
    if (all.loud_count[r] < 0) return norma_run_fail(context, "row %lld holds a NaN", (long long)r);
    loud += all.loud_count[r];
  }
  ++*(int *)user; /* one session runs here; with several this would be an atomic */
  return rolling_write_loud(context, &all, rows, loud);
}

/* ---------------------------------------------------------------------------------------------------------- program */

static void leave_unless(norma_status status, const norma_error *error, const char *what) {
  if (status == NORMA_OK) return;
  fprintf(stderr, "%s: %s\n", what, error->message);
  exit(1);
}

static void print_shapes(const norma_model *model) {
  for (size_t i = 0; i < norma_model_output_count(model); i++) {
    norma_value_info info;
    if (norma_model_output(model, i, &info) != NORMA_OK) exit(1);
    printf("%s: %s[", info.name, norma_element_type_name(info.type));
    for (int d = 0; d < info.rank; d++) {
      if (d > 0) printf(", ");
      if (info.dims[d] < 0)
        printf("?");
      else
        printf("%lld", (long long)info.dims[d]);
    }
    printf("]\n");
  }
}

static void print_output(const norma_session *session, size_t index, const char *name) {
  const norma_tensor *tensor = norma_value_tensor(norma_session_output(session, index));
  printf("%s:", name);
  for (int64_t i = 0; i < norma_tensor_count(tensor); i++) {
    double number = 0;
    norma_tensor_get_doubles(tensor, i, 1, &number);
    printf(" %g", number);
  }
  printf("\n");
}

/* Sets x and runs; the message of a failure goes to standard output. */
static bool run(norma_session *session, int64_t rows, int64_t columns, float *elements) {
  norma_tensor x;
  norma_error error;
  int64_t dims[2];
  dims[0] = rows;
  dims[1] = columns;
  norma_status status = norma_tensor_init(&x, NORMA_FLOAT, 2, dims, elements);
  if (status == NORMA_OK) status = norma_session_set_input(session, "x", &x, &error);
  if (status == NORMA_OK) status = norma_session_run(session, &error);
  if (status == NORMA_OK) return true;
  printf("%s: %s\n", norma_status_text(status), error.message);
  return false;
}

static void use(norma_session *session) {
  float two[12] = {1, 2, 3, 4, 5, 0, 0, 0, 0, 9, 0, 0};
  const float nothing = 0;
  static const char *const names[] = {"means", "highest", "loud", "pairs"};
  if (run(session, 2, 6, two)) {
    for (size_t i = 0; i < 4; i++) print_output(session, i, names[i]);
  }
  two[7] = nothing / nothing;
  run(session, 2, 6, two);
}

int main(int argc, char **argv) {
  int runs = 0;
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
  norma_error error;
  norma_runtime_options runtime_options;
  norma_load_options options;
  norma_custom_operator custom;
  if (argc != 2) {
    fprintf(stderr, "usage: custom_operator MODEL\n");
    return 2;
  }
  memset(&runtime_options, 0, sizeof runtime_options);
  runtime_options.struct_size = sizeof runtime_options;
  runtime_options.threads = 3;
  leave_unless(norma_runtime_create(&runtime_options, &runtime, &error), &error, "a runtime");

  memset(&custom, 0, sizeof custom);
  custom.struct_size = sizeof custom;
  custom.domain = "example";
  custom.name = "Rolling";
  custom.since_version = 1;
  custom.min_inputs = custom.max_inputs = 1;
  custom.min_outputs = 1;
  custom.max_outputs = 3;
  custom.infer = rolling_infer;
  custom.compute = rolling_compute;
  custom.user = &runs;
  leave_unless(norma_runtime_register(runtime, &custom, &error), &error, "Rolling");

  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.runtime = runtime;
  leave_unless(norma_model_load(argv[1], &options, &model, &error), &error, argv[1]);
  print_shapes(model);
  leave_unless(norma_session_create(model, NULL, &session, &error), &error, "a session");
  use(session);
  printf("computed %d times\n", runs);
  norma_session_destroy(session);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  return 0;
}
