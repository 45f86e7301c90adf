/* libFuzzer: products and convolutions of integers, and recurrent layers, of sizes and contents that the bytes choose,
 * on every kernel table that runs here, against computations that are written out here. Integers must be the same;
 * recurrent layers, whose results lie in -1 to 1, within 1e-5. */
#include "tests/fuzz/fuzzing.h"
#include "tests/support/model_builder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is left of the bytes; where there are none left, numbers that follow from them. */
typedef struct choices {
  const uint8_t *next, *end;
  uint64_t state;
} choices;

static unsigned choose_byte(choices *choices) {
  if (choices->next < choices->end) return *choices->next++;
  choices->state = choices->state * 6364136223846793005u + 1442695040888963407u;
  return choices->state >> 56;
}

static int64_t choose(choices *choices, int64_t low, int64_t high) {
  const int64_t number = choose_byte(choices) | choose_byte(choices) << 8;
  return low + number % (high - low + 1);
}

static void fail(const char *what, const char *kernels, int64_t at) {
  fprintf(stderr, "fuzz_kernels: %s differs on %s at %lld\n", what, kernels, (long long)at);
  abort();
}

/* Whether both are alike; `error` 0: the same bytes. */
static void compare(const char *what, const char *kernels, const norma_tensor *actual, const void *expected,
                    double error) {
  const int64_t count = norma_tensor_count(actual);
  for (int64_t i = 0; i < count; i++) {
    if (error == 0) {
      if (((const int32_t *)actual->data)[i] != ((const int32_t *)expected)[i]) fail(what, kernels, i);
    } else if (!(fabs(((const float *)actual->data)[i] - ((const double *)expected)[i]) <= error)) {
      fail(what, kernels, i);
    }
  }
}

/* ------------------------------------------------------------------------------------------------------------- runs */

typedef struct model_case {
  const char *what;
  const void *bytes;
  size_t size;
  const norma_tensor *inputs;
  size_t input_count;
  const void *expected;
  double error;
} model_case;

static void run_on(const model_case *model_case, const char *kernels, int threads, norma_optimization level) {
  norma_runtime *runtime = fuzz_runtime(threads, kernels);
  norma_load_options options = {.struct_size = sizeof options, .runtime = runtime, .optimization = level};
  norma_model *model = NULL;
  norma_session *session = NULL;
  norma_error error;
  norma_status status = norma_model_load_memory(model_case->bytes, model_case->size, &options, &model, &error);
  if (status == NORMA_OK) status = norma_session_create(model, NULL, &session, &error);
  for (size_t i = 0; i < model_case->input_count && status == NORMA_OK; i++) {
    status = norma_session_set_input(session, NULL, &model_case->inputs[i], &error);
  }
  if (status == NORMA_OK) status = norma_session_run(session, &error);
  if (status != NORMA_OK) {
    fprintf(stderr, "fuzz_kernels: %s: %s\n", model_case->what, error.message);
    abort();
  }
  compare(model_case->what, kernels, norma_value_tensor(norma_session_output(session, 0)), model_case->expected,
          model_case->error);
  norma_session_destroy(session);
  norma_model_destroy(model);
  fuzz_end(runtime);
}

/* On all tables, each with and without its overrides. */
static void run_everywhere(model_case *model_case, model_builder *builder) {
  model_case->bytes = builder_bytes(builder, &model_case->size);
  for (size_t i = 0; i < norma_kernel_table_count(); i++) {
    norma_kernel_table_info info = {.struct_size = sizeof info};
    char plain[80];
    if (norma_kernel_table(i, &info) != NORMA_OK || !info.can_run) continue;
    snprintf(plain, sizeof plain, "%s:plain", info.name);
    run_on(model_case, info.name, 1, NORMA_OPTIMIZE_FULL);
    run_on(model_case, plain, i % 2 ? 2 : 1, NORMA_OPTIMIZE_NONE);
  }
}

/* A tensor of bytes, with signs or without, as an input or an initializer of the model. */
typedef struct byte_tensor {
  uint8_t *bytes;
  bool is_signed;
  norma_tensor tensor;
} byte_tensor;

static int32_t byte_at(const byte_tensor *from, int64_t index) {
  return from->is_signed ? (int8_t)from->bytes[index] : from->bytes[index];
}

static byte_tensor make_bytes(choices *choices, int rank, const int64_t *dims) {
  byte_tensor made = {.is_signed = choose_byte(choices) & 1};
  int64_t count = 1;
  for (int i = 0; i < rank; i++) count *= dims[i];
  made.bytes = malloc((size_t)count + 1);
  if (!made.bytes) abort();
  const bool is_extreme = choose_byte(choices) % 4 == 0;
  for (int64_t i = 0; i < count; i++) {
    const unsigned byte = choose_byte(choices);
    made.bytes[i] = (uint8_t)(is_extreme ? (byte & 1 ? (made.is_signed ? 0x80 : 0xFF) : 0x7F) : byte);
  }
  norma_tensor_init(&made.tensor, made.is_signed ? NORMA_INT8 : NORMA_UINT8, rank, dims, made.bytes);
  return made;
}

static void add_tensor(model_builder *builder, const char *name, const norma_tensor *tensor, bool is_constant,
                       norma_tensor *inputs, size_t *count) {
  if (is_constant) {
    builder_initializer(builder, name, tensor->type, tensor->rank, tensor->dims, tensor->data);
  } else {
    builder_input(builder, name, tensor->type, tensor->rank, tensor->dims);
    inputs[(*count)++] = *tensor;
  }
}

/* --------------------------------------------------------------------------------------------------------- integers */

static void run_matmul_integer(choices *choices) {
  const int64_t m = choose(choices, 1, 20), k = choose(choices, 1, 90), n = choose(choices, 1, 70);
  const unsigned shape = choose_byte(choices);
  byte_tensor a = make_bytes(choices, 2, (int64_t[]){m, k}), b = make_bytes(choices, 2, (int64_t[]){k, n});
  byte_tensor a_zero = make_bytes(choices, shape & 1, &m), b_zero = make_bytes(choices, shape >> 1 & 1, &n);
  a_zero.is_signed = a.is_signed;
  b_zero.is_signed = b.is_signed;
  a_zero.tensor.type = a.tensor.type;
  b_zero.tensor.type = b.tensor.type;
  int32_t *expected = malloc(sizeof *expected * (size_t)(m * n));
  if (!expected) abort();
  for (int64_t i = 0; i < m * n; i++) {
    const int64_t row = i / n, column = i % n;
    const int32_t za = byte_at(&a_zero, shape & 1 ? row : 0), zb = byte_at(&b_zero, shape >> 1 & 1 ? column : 0);
    int32_t sum = 0;
    for (int64_t j = 0; j < k; j++) sum += (byte_at(&a, row * k + j) - za) * (byte_at(&b, j * n + column) - zb);
    expected[i] = sum;
  }
  norma_tensor inputs[4];
  model_case model_case = {.what = "MatMulInteger", .inputs = inputs, .expected = expected};
  model_builder *builder = builder_create(10);
  add_tensor(builder, "a", &a.tensor, false, inputs, &model_case.input_count);
  add_tensor(builder, "b", &b.tensor, shape & 4, inputs, &model_case.input_count);
  add_tensor(builder, "c", &a_zero.tensor, shape & 8, inputs, &model_case.input_count);
  add_tensor(builder, "d", &b_zero.tensor, shape & 16, inputs, &model_case.input_count);
  builder_node(builder, "MatMulInteger", "a b c d", "y");
  builder_output(builder, "y", NORMA_INT32, -1, NULL);
  run_everywhere(&model_case, builder);
  builder_destroy(builder);
  free(a.bytes);
  free(b.bytes);
  free(a_zero.bytes);
  free(b_zero.bytes);
  free(expected);
}

typedef struct conv_sizes {
  int64_t batch, group, in, out; /* channels of one group */
  int64_t size[2], kernel[2], stride[2], dilation[2], pad[4], result[2];
} conv_sizes;

/* false: the window does not fit. */
static bool choose_conv(choices *choices, conv_sizes *sizes) {
  sizes->batch = choose(choices, 1, 2);
  sizes->group = choose(choices, 1, 3);
  sizes->in = choose(choices, 1, 9);
  sizes->out = choose(choices, 1, 9);
  for (int i = 0; i < 2; i++) {
    sizes->size[i] = choose(choices, 1, 12);
    sizes->kernel[i] = choose(choices, 1, 4);
    sizes->stride[i] = choose(choices, 1, 3);
    sizes->dilation[i] = choose(choices, 1, 2);
    sizes->pad[i] = choose(choices, 0, 2);
    sizes->pad[i + 2] = choose(choices, 0, 2);
    const int64_t room = sizes->size[i] + sizes->pad[i] + sizes->pad[i + 2];
    const int64_t window = (sizes->kernel[i] - 1) * sizes->dilation[i] + 1;
    if (window > room) return false;
    sizes->result[i] = (room - window) / sizes->stride[i] + 1;
  }
  return true;
}

static int32_t conv_element(const conv_sizes *s, const byte_tensor *x, const byte_tensor *w, int32_t x_zero,
                            int32_t w_zero, int64_t batch, int64_t channel, int64_t y, int64_t z) {
  const int64_t group = channel / s->out;
  int32_t sum = 0;
  for (int64_t c = 0; c < s->in; c++) {
    for (int64_t tap = 0; tap < s->kernel[0] * s->kernel[1]; tap++) {
      const int64_t row = y * s->stride[0] + tap / s->kernel[1] * s->dilation[0] - s->pad[0];
      const int64_t column = z * s->stride[1] + tap % s->kernel[1] * s->dilation[1] - s->pad[1];
      if (row < 0 || row >= s->size[0] || column < 0 || column >= s->size[1]) continue;
      const int64_t at = ((batch * s->group * s->in + group * s->in + c) * s->size[0] + row) * s->size[1] + column;
      const int64_t weight = (channel * s->in + c) * s->kernel[0] * s->kernel[1] + tap;
      sum += (byte_at(x, at) - x_zero) * (byte_at(w, weight) - w_zero);
    }
  }
  return sum;
}

static void run_conv_integer(choices *choices) {
  conv_sizes s;
  if (!choose_conv(choices, &s)) return;
  const unsigned shape = choose_byte(choices);
  const int64_t channels = s.group * s.out;
  byte_tensor x = make_bytes(choices, 4, (int64_t[]){s.batch, s.group * s.in, s.size[0], s.size[1]});
  byte_tensor w = make_bytes(choices, 4, (int64_t[]){channels, s.in, s.kernel[0], s.kernel[1]});
  byte_tensor x_zero = make_bytes(choices, 0, NULL), w_zero = make_bytes(choices, 0, NULL);
  x_zero.is_signed = x.is_signed;
  w_zero.is_signed = w.is_signed;
  x_zero.tensor.type = x.tensor.type;
  w_zero.tensor.type = w.tensor.type;
  const int64_t plane = s.result[0] * s.result[1], count = s.batch * channels * plane;
  int32_t *expected = malloc(sizeof *expected * (size_t)count);
  if (!expected) abort();
  for (int64_t i = 0; i < count; i++) {
    expected[i] = conv_element(&s, &x, &w, byte_at(&x_zero, 0), byte_at(&w_zero, 0), i / plane / channels,
                               i / plane % channels, i % plane / s.result[1], i % s.result[1]);
  }
  norma_tensor inputs[4];
  model_case model_case = {.what = "ConvInteger", .inputs = inputs, .expected = expected};
  model_builder *builder = builder_create(10);
  add_tensor(builder, "x", &x.tensor, false, inputs, &model_case.input_count);
  add_tensor(builder, "w", &w.tensor, shape & 1, inputs, &model_case.input_count);
  add_tensor(builder, "c", &x_zero.tensor, shape & 2, inputs, &model_case.input_count);
  add_tensor(builder, "d", &w_zero.tensor, shape & 4, inputs, &model_case.input_count);
  node *node = builder_node(builder, "ConvInteger", "x w c d", "y");
  builder_int(node, "group", s.group);
  builder_ints(node, "strides", 2, s.stride);
  builder_ints(node, "dilations", 2, s.dilation);
  builder_ints(node, "pads", 4, s.pad);
  builder_output(builder, "y", NORMA_INT32, -1, NULL);
  run_everywhere(&model_case, builder);
  builder_destroy(builder);
  free(x.bytes);
  free(w.bytes);
  free(x_zero.bytes);
  free(w_zero.bytes);
  free(expected);
}

/* -------------------------------------------------------------------------------------------------------- recurrent */

typedef enum layer_kind { LAYER_RNN, LAYER_GRU, LAYER_LSTM } layer_kind;

typedef struct layer {
  layer_kind kind;
  int64_t steps, batch, input, hidden, gates;
  bool is_reversed, resets_before; /* GRU: linear_before_reset */
  float *x, *w, *r, *b;
} layer;

static double sigmoid(double x) {
  return 1 / (1 + exp(-x));
}

/* Row `gate * hidden + unit` of W x + bias, and of R h + bias. */
static double from_input(const layer *l, const float *x, int64_t row) {
  double sum = l->b[row];
  for (int64_t i = 0; i < l->input; i++) sum += (double)l->w[row * l->input + i] * x[i];
  return sum;
}

static double from_hidden(const layer *l, const double *h, int64_t row) {
  double sum = l->b[l->gates * l->hidden + row];
  for (int64_t i = 0; i < l->hidden; i++) sum += (double)l->r[row * l->hidden + i] * h[i];
  return sum;
}

static double gate(const layer *l, const float *x, const double *h, int64_t gate, int64_t unit) {
  const int64_t row = gate * l->hidden + unit;
  return from_input(l, x, row) + from_hidden(l, h, row);
}

static void gru_step(const layer *l, const float *x, const double *h, double *next) {
  double reset[32];
  const int64_t hidden = l->hidden;
  for (int64_t u = 0; u < hidden; u++) {
    reset[u] = sigmoid(gate(l, x, h, 1, u)) * (l->resets_before ? 1 : h[u]);
  }
  for (int64_t u = 0; u < hidden; u++) {
    const double z = sigmoid(gate(l, x, h, 0, u)), in = from_input(l, x, 2 * hidden + u);
    const double out =
        l->resets_before ? reset[u] * from_hidden(l, h, 2 * hidden + u) : from_hidden(l, reset, 2 * hidden + u);
    next[u] = (1 - z) * tanh(in + out) + z * h[u];
  }
}

/* One step of one sample: h and (LSTM) c become those of the next one. */
static void step(const layer *l, const float *x, double *h, double *c) {
  double next[32];
  if (l->kind == LAYER_GRU) gru_step(l, x, h, next);
  for (int64_t u = 0; u < l->hidden; u++) {
    if (l->kind == LAYER_RNN) next[u] = tanh(gate(l, x, h, 0, u));
    if (l->kind != LAYER_LSTM) continue;
    const double i = sigmoid(gate(l, x, h, 0, u)), o = sigmoid(gate(l, x, h, 1, u));
    const double f = sigmoid(gate(l, x, h, 2, u)), candidate = tanh(gate(l, x, h, 3, u));
    c[u] = f * c[u] + i * candidate;
    next[u] = o * tanh(c[u]);
  }
  memcpy(h, next, sizeof *h * (size_t)l->hidden);
}

static double *compute_layer(const layer *l) {
  double *y = calloc((size_t)(l->steps * l->batch * l->hidden), sizeof *y);
  if (!y) abort();
  for (int64_t b = 0; b < l->batch; b++) {
    double h[32] = {0}, c[32] = {0};
    for (int64_t s = 0; s < l->steps; s++) {
      const int64_t at = (l->is_reversed ? l->steps - 1 - s : s) * l->batch + b;
      step(l, l->x + at * l->input, h, c);
      memcpy(y + at * l->hidden, h, sizeof *h * (size_t)l->hidden);
    }
  }
  return y;
}

static float *choose_floats(choices *choices, int64_t count, double scale) {
  float *made = malloc(sizeof *made * (size_t)count);
  if (!made) abort();
  for (int64_t i = 0; i < count; i++) made[i] = (float)(((double)choose_byte(choices) - 127.5) / 127.5 * scale);
  return made;
}

static void run_recurrent(choices *choices) {
  static const char *const names[] = {"RNN", "GRU", "LSTM"};
  static const int64_t gates[] = {1, 3, 4};
  layer l = {.kind = (layer_kind)choose(choices, 0, 2)};
  const unsigned shape = choose_byte(choices);
  l.steps = choose(choices, 1, 5);
  l.batch = choose(choices, 1, 9);
  l.input = choose(choices, 1, 20);
  l.hidden = choose(choices, 1, 32);
  l.gates = gates[l.kind];
  l.is_reversed = shape & 1;
  l.resets_before = shape & 2;
  const double scale = 2 / sqrt((double)(l.input + l.hidden));
  l.x = choose_floats(choices, l.steps * l.batch * l.input, 1);
  l.w = choose_floats(choices, l.gates * l.hidden * l.input, scale);
  l.r = choose_floats(choices, l.gates * l.hidden * l.hidden, scale);
  l.b = choose_floats(choices, 2 * l.gates * l.hidden, 0.5);
  double *expected = compute_layer(&l);
  norma_tensor tensors[4], inputs[4];
  norma_tensor_init(&tensors[0], NORMA_FLOAT, 3, (int64_t[]){l.steps, l.batch, l.input}, l.x);
  norma_tensor_init(&tensors[1], NORMA_FLOAT, 3, (int64_t[]){1, l.gates * l.hidden, l.input}, l.w);
  norma_tensor_init(&tensors[2], NORMA_FLOAT, 3, (int64_t[]){1, l.gates * l.hidden, l.hidden}, l.r);
  norma_tensor_init(&tensors[3], NORMA_FLOAT, 2, (int64_t[]){1, 2 * l.gates * l.hidden}, l.b);
  model_case model_case = {.what = names[l.kind], .inputs = inputs, .expected = expected, .error = 1e-5};
  model_builder *builder = builder_create(14);
  for (int i = 0; i < 4; i++) {
    add_tensor(builder, (const char *[]){"x", "w", "r", "b"}[i], &tensors[i], i > 0 && (shape >> (i + 2) & 1), inputs,
               &model_case.input_count);
  }
  node *node = builder_node(builder, names[l.kind], "x w r b", "y");
  builder_int(node, "hidden_size", l.hidden);
  builder_string(node, "direction", l.is_reversed ? "reverse" : "forward");
  if (l.kind == LAYER_GRU) builder_int(node, "linear_before_reset", l.resets_before);
  builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
  run_everywhere(&model_case, builder);
  builder_destroy(builder);
  free(l.x);
  free(l.w);
  free(l.r);
  free(l.b);
  free(expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 4) return 0;
  choices choices = {data + 1, data + size, fuzz_hash(data, size)};
  switch (data[0] % 3) {
  case 0:
    run_matmul_integer(&choices);
    break;
  case 1:
    run_conv_integer(&choices);
    break;
  default:
    run_recurrent(&choices);
    break;
  }
  return 0;
}
