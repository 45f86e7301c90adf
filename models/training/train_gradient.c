/*
 * train_gradient FOLDER [--epochs N] [--threads N] [--svg FILE] [--check]: trains small networks on digits, with and
 * without BatchNormalization, with three activations and four learning rates, and prints how many digits of the test
 * split each gets right. The training step is a model (make_training.py), with Gradient and Momentum of
 * ai.onnx.preview.training; this program knows nothing of derivatives. Each input X with an output new_X is state: a
 * step reads X and gives new_X, weights and the running statistics of BatchNormalization alike.
 *
 * --svg draws the curves. --check fails unless BatchNormalization does what the page beside this file says.
 */
#include <norma.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIXELS      64
#define CLASSES     10
#define TRAIN_COUNT 1347
#define TEST_COUNT  450
#define BATCH       32
#define MOST_EPOCHS 100
#define MOST_STATES 64

static const char *const activations[] = {"relu", "tanh", "sigmoid"};
static const float rates[] = {0.001f, 0.01f, 0.1f, 1.0f};
#define ACTIVATIONS (sizeof activations / sizeof *activations)
#define RATES       (sizeof rates / sizeof *rates)

static void leave(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void leave_unless(norma_status status, const norma_error *error, const char *what) {
  if (status != NORMA_OK) leave(what, error->message);
}

static void *allocate(size_t count, size_t bytes) {
  void *block = calloc(count ? count : 1, bytes);
  if (!block) leave("memory", "none is left");
  return block;
}

/* The same numbers everywhere: xorshift64. */
static double draw(uint64_t *seed) {
  *seed ^= *seed << 13;
  *seed ^= *seed >> 7;
  *seed ^= *seed << 17;
  return (double)(*seed >> 11) / 9007199254740992.0;
}

/* ------------------------------------------------------------------------------------------------------------- data */

typedef struct digits {
  float pictures[TRAIN_COUNT + TEST_COUNT][PIXELS];
  int64_t labels[TRAIN_COUNT + TEST_COUNT];
} digits;

static digits *read_digits(const char *folder) {
  char path[1000];
  unsigned char row[PIXELS + 1];
  digits *all = allocate(1, sizeof *all);
  snprintf(path, sizeof path, "%s/digits.bytes", folder);
  FILE *file = fopen(path, "rb");
  if (!file) leave(path, "cannot be opened");
  for (size_t i = 0; i < TRAIN_COUNT + TEST_COUNT; i++) {
    if (fread(row, 1, sizeof row, file) != sizeof row) leave(path, "ends early");
    for (size_t p = 0; p < PIXELS; p++) all->pictures[i][p] = (float)row[p] / 255;
    all->labels[i] = row[PIXELS];
  }
  fclose(file);
  return all;
}

/* ---------------------------------------------------------------------------------------------------------- network */

/* What goes from step to step. */
typedef struct state {
  norma_value_info info;
  norma_tensor tensor;
  size_t output; /* of the step: where the new one stands */
} state;

typedef struct network {
  norma_model *step_model, *test_model;
  norma_session *step, *test;
  size_t state_count;
  state states[MOST_STATES];
} network;

static void open_model(norma_runtime *runtime, const char *folder, const char *name, const char *part,
                       norma_model **model, norma_session **session) {
  char path[1000];
  norma_error error;
  norma_load_options options = {.struct_size = sizeof options, .runtime = runtime};
  snprintf(path, sizeof path, "%s/%s.%s.onnx", folder, name, part);
  leave_unless(norma_model_load(path, &options, model, &error), &error, path);
  leave_unless(norma_session_create(*model, NULL, session, &error), &error, path);
}

static void set(norma_session *session, const char *name, const norma_tensor *tensor) {
  norma_error error;
  leave_unless(norma_session_set_input(session, name, tensor, &error), &error, name);
}

static void run(norma_session *session) {
  norma_error error;
  leave_unless(norma_session_run(session, &error), &error, "a run");
}

static bool begins_with(const char *name, const char *start) {
  return strncmp(name, start, strlen(start)) == 0;
}

/* Weights after Glorot and Bengio, 2010; scales and variances of 1; all else is 0. */
static void set_first(state *state, uint64_t *seed) {
  const char *name = state->info.name;
  const bool is_one = begins_with(name, "scale") || begins_with(name, "variance");
  float *data = state->tensor.data;
  for (int64_t i = 0; i < norma_tensor_count(&state->tensor); i++) {
    if (begins_with(name, "weight")) {
      const double bound = sqrt(6.0 / (double)(state->info.dims[0] + state->info.dims[1]));
      data[i] = (float)(bound * (2 * draw(seed) - 1));
    } else {
      data[i] = is_one ? 1 : 0;
    }
  }
}

/* Inputs X of the step that have an output new_X. */
static void find_states(network *network) {
  uint64_t seed = 0x9E3779B97F4A7C15u;
  for (size_t o = 0; o < norma_model_output_count(network->step_model); o++) {
    norma_value_info output;
    state *state = &network->states[network->state_count];
    norma_model_output(network->step_model, o, &output);
    if (!begins_with(output.name, "new_")) continue;
    for (size_t i = 0; i < norma_model_input_count(network->step_model); i++) {
      norma_model_input(network->step_model, i, &state->info);
      if (strcmp(state->info.name, output.name + strlen("new_")) == 0) break;
    }
    if (network->state_count++ == MOST_STATES) leave(output.name, "too many tensors");
    norma_tensor_init(&state->tensor, NORMA_FLOAT, state->info.rank, state->info.dims, NULL);
    void *data = allocate((size_t)norma_tensor_count(&state->tensor), sizeof(float));
    norma_tensor_init(&state->tensor, NORMA_FLOAT, state->info.rank, state->info.dims, data);
    state->output = o;
    set_first(state, &seed);
    set(network->step, state->info.name, &state->tensor);
    if (!begins_with(state->info.name, "speed")) set(network->test, state->info.name, &state->tensor);
  }
}

static void open_network(network *network, norma_runtime *runtime, const char *folder, const char *name) {
  memset(network, 0, sizeof *network);
  open_model(runtime, folder, name, "step", &network->step_model, &network->step);
  open_model(runtime, folder, name, "test", &network->test_model, &network->test);
  find_states(network);
}

static void close_network(network *network) {
  norma_session_destroy(network->step);
  norma_session_destroy(network->test);
  norma_model_destroy(network->step_model);
  norma_model_destroy(network->test_model);
  for (size_t i = 0; i < network->state_count; i++) free(network->states[i].tensor.data);
}

/* -------------------------------------------------------------------------------------------------------------- run */

static void take_step(network *network, float pictures[BATCH][PIXELS], int64_t *labels, float rate, int64_t steps) {
  norma_tensor picture, label, r, t;
  norma_tensor_init(&picture, NORMA_FLOAT, 2, (int64_t[]){BATCH, PIXELS}, pictures);
  norma_tensor_init(&label, NORMA_INT64, 1, (int64_t[]){BATCH}, labels);
  norma_tensor_init(&r, NORMA_FLOAT, 0, NULL, &rate);
  norma_tensor_init(&t, NORMA_INT64, 0, NULL, &steps);
  set(network->step, "picture", &picture);
  set(network->step, "label", &label);
  set(network->step, "rate", &r);
  set(network->step, "steps", &t);
  run(network->step);
  for (size_t i = 0; i < network->state_count; i++) {
    state *state = &network->states[i];
    const norma_tensor *made = norma_value_tensor(norma_session_output(network->step, state->output));
    memcpy(state->tensor.data, made->data, state->tensor.size_bytes);
  }
}

/* The share of the test split that is right. */
static double measure(network *network, digits *all) {
  norma_tensor picture;
  norma_tensor_init(&picture, NORMA_FLOAT, 2, (int64_t[]){TEST_COUNT, PIXELS}, all->pictures[TRAIN_COUNT]);
  set(network->test, "picture", &picture);
  run(network->test);
  const float *scores = norma_value_tensor(norma_session_output(network->test, 0))->data;
  int right = 0;
  for (size_t i = 0; i < TEST_COUNT; i++) {
    const float *row = scores + i * CLASSES;
    size_t best = 0;
    for (size_t c = 1; c < CLASSES; c++) best = row[c] > row[best] ? c : best;
    right += all->labels[TRAIN_COUNT + i] == (int64_t)best && isfinite(row[best]);
  }
  return right / (double)TEST_COUNT;
}

static void shuffle(size_t *order, uint64_t *seed) {
  for (size_t i = TRAIN_COUNT - 1; i > 0; i--) {
    const size_t other = (size_t)(draw(seed) * (double)(i + 1)), kept = order[i];
    order[i] = order[other];
    order[other] = kept;
  }
}

/* curve[e] is the accuracy after epoch e + 1. */
static void train(network *network, digits *all, float rate, int epochs, double *curve) {
  uint64_t seed = 0x2545F4914F6CDD1Du;
  size_t order[TRAIN_COUNT];
  float pictures[BATCH][PIXELS];
  int64_t labels[BATCH], steps = 0;
  for (size_t i = 0; i < TRAIN_COUNT; i++) order[i] = i;
  for (int epoch = 0; epoch < epochs; epoch++) {
    shuffle(order, &seed);
    for (size_t first = 0; first + BATCH <= TRAIN_COUNT; first += BATCH) {
      for (size_t i = 0; i < BATCH; i++) {
        memcpy(pictures[i], all->pictures[order[first + i]], sizeof pictures[i]);
        labels[i] = all->labels[order[first + i]];
      }
      take_step(network, pictures, labels, rate, steps++);
    }
    curve[epoch] = measure(network, all);
  }
}

/* ---------------------------------------------------------------------------------------------------------- picture */

typedef struct results {
  int epochs;
  double curves[ACTIVATIONS][RATES][2][MOST_EPOCHS]; /* the last but one: with BatchNormalization */
} results;

#define PANEL_WIDTH  170
#define PANEL_HEIGHT 110

static void draw_curve(FILE *file, const double *curve, int epochs, double x, double y, const char *color) {
  fprintf(file, "<polyline fill='none' stroke='%s' stroke-width='1.8' points='", color);
  for (int e = 0; e < epochs; e++) {
    const double along = epochs > 1 ? (double)e / (epochs - 1) : 0;
    fprintf(file, "%.1f,%.1f ", x + along * PANEL_WIDTH, y + (1 - curve[e]) * PANEL_HEIGHT);
  }
  fprintf(file, "'/>\n");
}

/* A panel for each activation and rate; accuracy from 0 to 1 over the epochs. */
static void draw_results(const results *results, const char *path) {
  static const char *const colors[] = {"#c2571a", "#1f6fb4"}, *const names[] = {"without", "with BatchNormalization"};
  FILE *file = fopen(path, "w");
  if (!file) leave(path, "cannot be written");
  const int width = 60 + (int)RATES * (PANEL_WIDTH + 20), height = 60 + (int)ACTIVATIONS * (PANEL_HEIGHT + 20);
  fprintf(file, "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' font-family='sans-serif' ", width,
          height);
  fprintf(file, "font-size='12'>\n<rect width='100%%' height='100%%' fill='white'/>\n");
  for (int i = 0; i < 2; i++) {
    fprintf(file, "<text x='%d' y='16' fill='%s'>%s</text>\n", 60 + 70 * i, colors[i], names[i]);
  }
  fprintf(file, "<text x='300' y='16'>accuracy on the test split, 0 to 1, over %d epochs</text>\n", results->epochs);
  for (size_t a = 0; a < ACTIVATIONS; a++) {
    const double y = 45 + (double)a * (PANEL_HEIGHT + 20);
    fprintf(file, "<text x='8' y='%.0f'>%s</text>\n", y + PANEL_HEIGHT / 2.0, activations[a]);
    for (size_t r = 0; r < RATES; r++) {
      const double x = 60 + (double)r * (PANEL_WIDTH + 20);
      if (a == 0) fprintf(file, "<text x='%.0f' y='38'>rate %g</text>\n", x, (double)rates[r]);
      fprintf(file, "<rect x='%.0f' y='%.0f' width='%d' height='%d' fill='none' stroke='#aaa'/>\n", x, y, PANEL_WIDTH,
              PANEL_HEIGHT);
      for (int bn = 0; bn < 2; bn++) draw_curve(file, results->curves[a][r][bn], results->epochs, x, y, colors[bn]);
    }
  }
  fprintf(file, "</svg>\n");
  if (fclose(file) != 0) leave(path, "cannot be written");
}

/* ------------------------------------------------------------------------------------------------------------- main */

static void train_all(norma_runtime *runtime, const char *folder, digits *all, results *results) {
  printf("| activation | rate | without | with BatchNormalization |\n|---|---:|---:|---:|\n");
  for (size_t a = 0; a < ACTIVATIONS; a++) {
    for (size_t r = 0; r < RATES; r++) {
      printf("| %s | %g |", activations[a], (double)rates[r]);
      for (int bn = 0; bn < 2; bn++) {
        network network;
        char name[64];
        double *curve = results->curves[a][r][bn];
        snprintf(name, sizeof name, "%s%s", activations[a], bn ? "_bn" : "");
        open_network(&network, runtime, folder, name);
        train(&network, all, rates[r], results->epochs, curve);
        close_network(&network);
        printf(" %.1f %% |", 100 * curve[results->epochs - 1]);
        fflush(stdout);
      }
      printf("\n");
    }
  }
}

/* What the page says: sigmoids learn only with BatchNormalization, and with it every activation learns at a rate of
 * 0.1. Returns how many of the claims do not hold. */
static int check_results(const results *results) {
  int wrong = 0;
  const int last = results->epochs - 1;
  for (size_t a = 0; a < ACTIVATIONS; a++) wrong += !(results->curves[a][2][1][last] > 0.85);
  wrong += !(results->curves[2][2][0][last] < 0.3);
  wrong += !(results->curves[2][1][0][last] < 0.3);
  wrong += !(results->curves[2][1][1][last] > 0.6);
  printf("%d of %d claims do not hold\n", wrong, (int)ACTIVATIONS + 3);
  return wrong;
}

int main(int argc, char **argv) {
  static results results = {.epochs = 30};
  const char *folder = NULL, *svg = NULL;
  norma_runtime_options options = {.struct_size = sizeof options};
  norma_runtime *runtime;
  norma_error error;
  bool checks = false;
  for (int i = 1; i < argc; i++) {
    const bool has_value = i + 1 < argc;
    if (strcmp(argv[i], "--check") == 0) {
      checks = true;
    } else if (strcmp(argv[i], "--epochs") == 0 && has_value) {
      results.epochs = atoi(argv[++i]);
    } else if (strcmp(argv[i], "--threads") == 0 && has_value) {
      options.threads = atoi(argv[++i]);
    } else if (strcmp(argv[i], "--svg") == 0 && has_value) {
      svg = argv[++i];
    } else {
      folder = argv[i];
    }
  }
  if (!folder || results.epochs < 1 || results.epochs > MOST_EPOCHS) {
    fprintf(stderr, "usage: train_gradient FOLDER [--epochs N] [--threads N] [--svg FILE] [--check]\n");
    return 2;
  }
  leave_unless(norma_runtime_create(&options, &runtime, &error), &error, "a runtime");
  digits *all = read_digits(folder);
  train_all(runtime, folder, all, &results);
  if (svg) draw_results(&results, svg);
  free(all);
  norma_runtime_destroy(runtime);
  return checks && check_results(&results) > 0;
}
