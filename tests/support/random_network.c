#include "tests/support/random_network.h"

#include "tests/engine/passes/pass_check.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_ELEMENTS 60000 /* of one value of one sample */
#define MOST_WEIGHTS  60000
#define MARGIN        2 /* what the late slice cuts off */

typedef struct network_value network_value;

static int64_t between(random_network *network, int64_t low, int64_t high) {
  return random_int(&network->seed, low, high);
}

static bool chance(random_network *network, int percent) {
  return between(network, 1, 100) <= percent;
}

static void say(random_network *network, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(random_network *network, const char *format, ...) {
  size_t used = strlen(network->text);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(network->text + used, sizeof network->text - used, format, arguments);
  va_end(arguments);
}

/* A value that the next node makes. */
static network_value *next_value(random_network *network, int64_t channels, int64_t height, int64_t width) {
  network_value *made = &network->values[network->value_count];
  snprintf(made->name, sizeof made->name, "v%zu", network->value_count);
  made->dims[0] = channels;
  made->dims[1] = height;
  made->dims[2] = width;
  return made;
}

static void keep(random_network *network, const network_value *made, const char *op_type) {
  say(network, "%s = %s [%d, %d, %d]\n", made->name, op_type, (int)made->dims[0], (int)made->dims[1],
      (int)made->dims[2]);
  network->value_count++;
}

/* Random numbers whose sums over `fan_in` have a deviation near 1. */
static const char *constant(random_network *network, const char *role, int rank, const int64_t *dims, double fan_in,
                            char name[32]) {
  double reach = sqrt(3.0 / (fan_in > 0 ? fan_in : 1));
  snprintf(name, 32, "%s%zu", role, network->value_count);
  add_random(network->builder, name, NORMA_FLOAT, rank, dims, -reach, reach);
  return name;
}

/* ---------------------------------------------------------------------------------------------------------- windows */

typedef struct window_choice {
  int64_t kernel[2], stride[2], dilation[2], pads[4], output[2];
  bool ceil_mode;
} window_choice;

static int64_t odd_size(random_network *network) {
  return chance(network, 70) ? random_of(&network->seed, 1, 3, 3, 3, 5, 7) : between(network, 1, 6);
}

/* Kernel, stride, dilation and pads that leave something; false: not this time. Pools take pads below the kernel only.
 */
static bool choose_window(random_network *network, const network_value *x, bool is_pool, window_choice *w) {
  bool plain = chance(network, 50);
  for (int d = 0; d < 2; d++) {
    int64_t size = x->dims[1 + d];
    w->kernel[d] = d == 1 && chance(network, 70) ? w->kernel[0] : odd_size(network);
    w->stride[d] = plain ? 1 : chance(network, 85) ? between(network, 1, 3) : between(network, 4, 40);
    w->dilation[d] = plain || chance(network, 60) ? 1 : chance(network, 80) ? between(network, 2, 3) : size + 1;
    int64_t reach = (w->kernel[d] - 1) * w->dilation[d] + 1, most = is_pool ? w->kernel[d] - 1 : reach + 1;
    int64_t same = (reach - 1) / 2 > most ? most : (reach - 1) / 2;
    for (int end = 0; end < 2; end++) {
      w->pads[2 * end + d] = plain ? same : between(network, 0, most < 40 ? most : 40);
    }
    int64_t room = size + w->pads[d] + w->pads[2 + d] - reach;
    if (room < 0) return false;
    w->output[d] = room / w->stride[d] + 1;
  }
  return true;
}

/* Whether no window lies outside the image altogether: a maximum of nothing is nobody's promise. */
static bool windows_see_the_image(const network_value *x, const window_choice *w) {
  for (int d = 0; d < 2; d++) {
    int64_t size = x->dims[1 + d];
    for (int64_t p = 0; p < w->output[d]; p++) {
      bool sees = false;
      for (int64_t k = 0; k < w->kernel[d]; k++) {
        int64_t at = p * w->stride[d] + k * w->dilation[d] - w->pads[d];
        sees = sees || (at >= 0 && at < size);
      }
      if (!sees) return false;
    }
  }
  return true;
}

static void set_window(node *node, const window_choice *w, bool with_kernel) {
  if (with_kernel) builder_ints(node, "kernel_shape", 2, w->kernel);
  builder_ints(node, "strides", 2, w->stride);
  builder_ints(node, "pads", 4, w->pads);
  if (w->dilation[0] != 1 || w->dilation[1] != 1) builder_ints(node, "dilations", 2, w->dilation);
}

static int64_t choose_channels(random_network *network, int64_t group) {
  int64_t of_group = chance(network, 50) ? between(network, 1, 9) : random_of(&network->seed, 8, 16, 17, 24, 32, 40);
  return group * (group > 4 ? 1 + of_group % 3 : of_group);
}

static int64_t choose_group(random_network *network, int64_t channels) {
  if (chance(network, 25)) return channels;
  int64_t group = between(network, 2, 4);
  return chance(network, 30) && channels % group == 0 ? group : 1;
}

static bool add_conv(random_network *network, const network_value *x) {
  window_choice w;
  char inputs[128], weights[32], bias[32];
  if (!choose_window(network, x, false, &w)) return false;
  int64_t group = choose_group(network, x->dims[0]);
  int64_t outputs = group > 1 && chance(network, 70) ? x->dims[0] : choose_channels(network, group);
  int64_t dims[4] = {outputs, x->dims[0] / group, w.kernel[0], w.kernel[1]};
  if (dims_product(dims, 0, 4) > MOST_WEIGHTS) return false;
  if (outputs * w.output[0] * w.output[1] > MOST_ELEMENTS) return false;
  network_value *y = next_value(network, outputs, w.output[0], w.output[1]);
  snprintf(inputs, sizeof inputs, "%s %s %s", x->name,
           constant(network, "w", 4, dims, (double)(dims[1] * dims[2] * dims[3]), weights),
           chance(network, 60) ? constant(network, "b", 1, dims, 1, bias) : "-");
  node *conv = builder_node(network->builder, "Conv", inputs, y->name);
  set_window(conv, &w, chance(network, 50));
  builder_int(conv, "group", group);
  say(network, "kernel %dx%d, strides %d %d, dilations %d %d, pads %d %d %d %d, group %d of %s: ", (int)w.kernel[0],
      (int)w.kernel[1], (int)w.stride[0], (int)w.stride[1], (int)w.dilation[0], (int)w.dilation[1], (int)w.pads[0],
      (int)w.pads[1], (int)w.pads[2], (int)w.pads[3], (int)group, x->name);
  keep(network, y, "Conv");
  return true;
}

static bool add_conv_transpose(random_network *network, const network_value *x) {
  window_choice w;
  char inputs[128], weights[32], bias[32];
  int64_t output_padding[2], group = choose_group(network, x->dims[0]);
  int64_t of_group = between(network, 1, 9);
  for (int d = 0; d < 2; d++) {
    w.kernel[d] = odd_size(network);
    w.stride[d] = between(network, 1, 4);
    w.dilation[d] = chance(network, 70) ? 1 : between(network, 1, 3);
    int64_t most = w.stride[d] > w.dilation[d] ? w.stride[d] : w.dilation[d];
    output_padding[d] = between(network, 0, most - 1);
    for (int end = 0; end < 2; end++) w.pads[2 * end + d] = between(network, 0, w.kernel[d] - 1);
    w.output[d] = (x->dims[1 + d] - 1) * w.stride[d] + output_padding[d] + (w.kernel[d] - 1) * w.dilation[d] + 1 -
                  w.pads[d] - w.pads[2 + d];
    if (w.output[d] < 1) return false;
  }
  int64_t dims[4] = {x->dims[0], of_group, w.kernel[0], w.kernel[1]}, outputs = of_group * group;
  if (dims_product(dims, 0, 4) > MOST_WEIGHTS || outputs * w.output[0] * w.output[1] > MOST_ELEMENTS) return false;
  network_value *y = next_value(network, outputs, w.output[0], w.output[1]);
  snprintf(inputs, sizeof inputs, "%s %s %s", x->name,
           constant(network, "w", 4, dims, (double)(dims[0] / group * dims[2] * dims[3]), weights),
           chance(network, 60) ? constant(network, "b", 1, &outputs, 1, bias) : "-");
  node *conv = builder_node(network->builder, "ConvTranspose", inputs, y->name);
  set_window(conv, &w, true);
  builder_ints(conv, "output_padding", 2, output_padding);
  builder_int(conv, "group", group);
  keep(network, y, "ConvTranspose");
  return true;
}

static bool add_pool(random_network *network, const network_value *x) {
  window_choice w;
  bool is_max = chance(network, 50);
  if (!choose_window(network, x, true, &w) || !windows_see_the_image(x, &w)) return false;
  if (!is_max) w.dilation[0] = w.dilation[1] = 1;
  for (int d = 0; d < 2 && !is_max; d++) { /* dilations are new in opset 19 */
    w.output[d] = (x->dims[1 + d] + w.pads[d] + w.pads[2 + d] - w.kernel[d]) / w.stride[d] + 1;
  }
  if (!windows_see_the_image(x, &w)) return false;
  network_value *y = next_value(network, x->dims[0], w.output[0], w.output[1]);
  node *pool = builder_node(network->builder, is_max ? "MaxPool" : "AveragePool", x->name, y->name);
  set_window(pool, &w, true);
  if (!is_max) builder_int(pool, "count_include_pad", between(network, 0, 1));
  say(network, "kernel %dx%d, strides %d %d, pads %d %d %d %d of %s: ", (int)w.kernel[0], (int)w.kernel[1],
      (int)w.stride[0], (int)w.stride[1], (int)w.pads[0], (int)w.pads[1], (int)w.pads[2], (int)w.pads[3], x->name);
  keep(network, y, is_max ? "MaxPool" : "AveragePool");
  return true;
}

/* ------------------------------------------------------------------------------------------------------ other nodes */

static bool add_batch_normalization(random_network *network, const network_value *x) {
  char inputs[160], names[4][32];
  const int64_t *channels = x->dims;
  network_value *y = next_value(network, x->dims[0], x->dims[1], x->dims[2]);
  snprintf(names[3], sizeof names[3], "variance%zu", network->value_count);
  add_random(network->builder, names[3], NORMA_FLOAT, 1, channels, 0.3, 2);
  snprintf(inputs, sizeof inputs, "%s %s %s %s %s", x->name, constant(network, "scale", 1, channels, 3, names[0]),
           constant(network, "shift", 1, channels, 3, names[1]), constant(network, "mean", 1, channels, 3, names[2]),
           names[3]);
  builder_node(network->builder, "BatchNormalization", inputs, y->name);
  keep(network, y, "BatchNormalization");
  return true;
}

static bool add_lrn(random_network *network, const network_value *x) {
  network_value *y = next_value(network, x->dims[0], x->dims[1], x->dims[2]);
  node *lrn = builder_node(network->builder, "LRN", x->name, y->name);
  builder_int(lrn, "size", between(network, 1, 7));
  builder_float(lrn, "alpha", 0.3f);
  keep(network, y, "LRN");
  return true;
}

static bool add_activation(random_network *network, const network_value *x) {
  static const char *const kinds[] = {"Relu", "Relu", "LeakyRelu", "Sigmoid", "Tanh", "Elu", "HardSwish"};
  const char *kind = kinds[between(network, 0, 5)]; /* HardSwish is new in opset 14 */
  network_value *y = next_value(network, x->dims[0], x->dims[1], x->dims[2]);
  builder_node(network->builder, kind, x->name, y->name);
  keep(network, y, kind);
  return true;
}

static bool has_shape_of(const network_value *a, const network_value *b, int from) {
  for (int d = from; d < 3; d++) {
    if (a->dims[d] != b->dims[d]) return false;
  }
  return true;
}

/* A value of the same dimensions from `from` on, NULL if there is no other. */
static const network_value *find_partner(random_network *network, const network_value *x, int from) {
  size_t start = (size_t)between(network, 0, (int64_t)network->value_count - 1);
  for (size_t i = 0; i < network->value_count; i++) {
    const network_value *candidate = &network->values[(start + i) % network->value_count];
    if (candidate != x && has_shape_of(candidate, x, from)) return candidate;
  }
  return NULL;
}

static bool add_arithmetic(random_network *network, const network_value *x) {
  const network_value *partner = find_partner(network, x, 0);
  const char *kind = chance(network, 60) ? "Add" : chance(network, 50) ? "Mul" : "Sub";
  char inputs[96], name[32];
  bool by_channel = !partner || chance(network, 30);
  int64_t dims[3] = {x->dims[0], 1, 1};
  const char *other = by_channel ? constant(network, "k", 3, dims, 1, name) : partner->name;
  network_value *y = next_value(network, x->dims[0], x->dims[1], x->dims[2]);
  snprintf(inputs, sizeof inputs, "%s %s", x->name, other);
  builder_node(network->builder, kind, inputs, y->name);
  say(network, "%s of %s: ", kind, inputs);
  keep(network, y, "arithmetic");
  return true;
}

static bool add_concat(random_network *network, const network_value *x) {
  const network_value *partner = find_partner(network, x, 1);
  char inputs[96];
  if (!partner || x->dims[0] + partner->dims[0] > 120) return false;
  network_value *y = next_value(network, x->dims[0] + partner->dims[0], x->dims[1], x->dims[2]);
  snprintf(inputs, sizeof inputs, "%s %s", x->name, partner->name);
  builder_int(builder_node(network->builder, "Concat", inputs, y->name), "axis", 1);
  keep(network, y, "Concat");
  return true;
}

static bool add_resize(random_network *network, const network_value *x) {
  int64_t by[2] = {between(network, 1, 3), between(network, 1, 3)};
  char name[32], inputs[96];
  if (dims_product(x->dims, 0, 3) * by[0] * by[1] > MOST_ELEMENTS) return false;
  network_value *y = next_value(network, x->dims[0], x->dims[1] * by[0], x->dims[2] * by[1]);
  snprintf(name, sizeof name, "scales%zu", network->value_count);
  builder_floats(network->builder, name, 1, (int64_t[]){4}, (float[]){1, 1, (float)by[0], (float)by[1]});
  snprintf(inputs, sizeof inputs, "%s - %s", x->name, name);
  node *resize = builder_node(network->builder, "Resize", inputs, y->name);
  bool nearest = chance(network, 60);
  builder_string(resize, "mode", nearest ? "nearest" : "linear");
  if (chance(network, 50)) builder_string(resize, "coordinate_transformation_mode", "asymmetric");
  keep(network, y, nearest ? "Resize nearest" : "Resize linear");
  return true;
}

static bool add_softmax(random_network *network, const network_value *x) {
  network_value *y = next_value(network, x->dims[0], x->dims[1], x->dims[2]);
  builder_int(builder_node(network->builder, "Softmax", x->name, y->name), "axis", chance(network, 70) ? 1 : -1);
  keep(network, y, "Softmax");
  return true;
}

/* Two parts, mostly at a border of some blocks: the second one, gated by the mean of the first, is kept. */
static bool add_split(random_network *network, const network_value *x) {
  int64_t first = chance(network, 70) ? 16 * between(network, 1, 3) : between(network, 1, 30);
  char inputs[96], outputs[96], sizes[32], part[32], gate[32], mean[40];
  if (x->dims[0] <= first) return false;
  network_value *y = next_value(network, x->dims[0] - first, x->dims[1], x->dims[2]);
  snprintf(sizes, sizeof sizes, "sizes%zu", network->value_count);
  snprintf(part, sizeof part, "part%zu", network->value_count);
  snprintf(gate, sizeof gate, "gate%zu", network->value_count);
  builder_ints64(network->builder, sizes, 1, (int64_t[]){2}, (int64_t[]){first, y->dims[0]});
  snprintf(inputs, sizeof inputs, "%s %s", x->name, sizes);
  snprintf(outputs, sizeof outputs, "%s %s", gate, part);
  builder_int(builder_node(network->builder, "Split", inputs, outputs), "axis", 1);
  snprintf(mean, sizeof mean, "%s.mean", gate);
  builder_ints(builder_node(network->builder, "ReduceMean", gate, mean), "axes", 1, (int64_t[]){1});
  snprintf(inputs, sizeof inputs, "%s %s", part, mean);
  builder_node(network->builder, chance(network, 70) ? "Mul" : "Add", inputs, y->name);
  say(network, "%d channels of %s: ", (int)first, x->name);
  keep(network, y, "Split and gate");
  return true;
}

static bool add_pad(random_network *network, const network_value *x) {
  int64_t pads[8] = {0};
  char name[32], inputs[96];
  for (int end = 0; end < 2; end++) {
    pads[4 * end + 1] = chance(network, 20) ? between(network, 0, 5) : 0;
    for (int d = 2; d < 4; d++) pads[4 * end + d] = between(network, 0, 3);
  }
  network_value *y = next_value(network, x->dims[0] + pads[1] + pads[5], x->dims[1] + pads[2] + pads[6],
                                x->dims[2] + pads[3] + pads[7]);
  snprintf(name, sizeof name, "pads%zu", network->value_count);
  builder_ints64(network->builder, name, 1, (int64_t[]){8}, pads);
  snprintf(inputs, sizeof inputs, "%s %s", x->name, name);
  bool edge = chance(network, 30);
  builder_string(builder_node(network->builder, "Pad", inputs, y->name), "mode", edge ? "edge" : "constant");
  keep(network, y, edge ? "Pad edge" : "Pad");
  return true;
}

/* Of channels or pixels. */
static bool add_slice(random_network *network, const network_value *x) {
  int64_t axis = between(network, 1, 3), size = x->dims[axis - 1], one = 1;
  int64_t start = between(network, 0, size - 1), end = between(network, start + 1, size);
  int64_t step = chance(network, 70) ? 1 : between(network, 2, 3);
  if (chance(network, 50) && axis == 1) start = start / 8 * 8;
  const int64_t limits[4] = {start, end, axis, step};
  char inputs[160], names[4][32];
  for (int i = 0; i < 4; i++) {
    snprintf(names[i], sizeof names[i], "slice%d.%zu", i, network->value_count);
    builder_ints64(network->builder, names[i], 1, &one, &limits[i]);
  }
  network_value *y = next_value(network, x->dims[0], x->dims[1], x->dims[2]);
  y->dims[axis - 1] = (end - start - 1) / step + 1;
  snprintf(inputs, sizeof inputs, "%s %s %s %s %s", x->name, names[0], names[1], names[2], names[3]);
  builder_node(network->builder, "Slice", inputs, y->name);
  say(network, "from %d to %d of axis %d by %d of %s: ", (int)start, (int)end, (int)axis, (int)step, x->name);
  keep(network, y, "Slice");
  return true;
}

static bool add_mean(random_network *network, const network_value *x) {
  if (!chance(network, 30)) return false;
  network_value *y = next_value(network, x->dims[0], 1, 1);
  builder_ints(builder_node(network->builder, "ReduceMean", x->name, y->name), "axes", 2, (int64_t[]){2, 3});
  keep(network, y, "ReduceMean");
  return true;
}

/* ShuffleNet's exchange of channels between groups: Reshape, Transpose, Reshape. */
static bool add_shuffle(random_network *network, const network_value *x) {
  int64_t group = between(network, 2, 4), channels = x->dims[0];
  char inputs[96], shapes[2][32], parts[32], turned[32];
  if (channels % group != 0) return false;
  network_value *y = next_value(network, channels, x->dims[1], x->dims[2]);
  const int64_t apart[5] = {0, group, channels / group, x->dims[1], x->dims[2]};
  const int64_t together[4] = {0, channels, x->dims[1], x->dims[2]};
  for (int i = 0; i < 2; i++) snprintf(shapes[i], sizeof shapes[i], "shape%d.%zu", i, network->value_count);
  snprintf(parts, sizeof parts, "parts%zu", network->value_count);
  snprintf(turned, sizeof turned, "turned%zu", network->value_count);
  builder_ints64(network->builder, shapes[0], 1, (int64_t[]){5}, apart);
  builder_ints64(network->builder, shapes[1], 1, (int64_t[]){4}, together);
  snprintf(inputs, sizeof inputs, "%s %s", x->name, shapes[0]);
  builder_node(network->builder, "Reshape", inputs, parts);
  builder_ints(builder_node(network->builder, "Transpose", parts, turned), "perm", 5, (int64_t[]){0, 2, 1, 3, 4});
  snprintf(inputs, sizeof inputs, "%s %s", turned, shapes[1]);
  builder_node(network->builder, "Reshape", inputs, y->name);
  keep(network, y, "shuffle");
  return true;
}

static bool add_global_pool(random_network *network, const network_value *x) {
  if (!chance(network, 20)) return false;
  network_value *y = next_value(network, x->dims[0], 1, 1);
  builder_node(network->builder, "GlobalAveragePool", x->name, y->name);
  keep(network, y, "GlobalAveragePool");
  return true;
}

/* Flatten, Gemm, MatMul, Softmax. */
static void add_head(random_network *network, const network_value *x) {
  int64_t depth = dims_product(x->dims, 0, 3), width = between(network, 1, 40), last = between(network, 1, 20);
  char inputs[96], weights[32], bias[32];
  model_builder *b = network->builder;
  bool transposed = chance(network, 50);
  int64_t dims[2] = {transposed ? width : depth, transposed ? depth : width};
  builder_node(b, "Flatten", x->name, "flat");
  snprintf(inputs, sizeof inputs, "flat %s %s", constant(network, "w", 2, dims, (double)depth, weights),
           constant(network, "b", 1, &width, 1, bias));
  builder_int(builder_node(b, "Gemm", inputs, "gemm"), "transB", transposed);
  builder_node(b, "Relu", "gemm", "hidden");
  snprintf(inputs, sizeof inputs, "hidden %s",
           constant(network, "m", 2, (int64_t[]){width, last}, (double)width, weights));
  builder_node(b, "MatMul", inputs, "product");
  builder_node(b, "Softmax", "product", "y");
  say(network, "y = Softmax(MatMul(Relu(Gemm(%s)))) %d, %d, %d\n", x->name, (int)depth, (int)width, (int)last);
}

/* ---------------------------------------------------------------------------------------------------------- network */

static bool (*const makers[])(random_network *network,
                              const network_value *x) = {add_conv,        add_conv,
                                                         add_conv,        add_conv,
                                                         add_conv,        add_conv_transpose,
                                                         add_pool,        add_pool,
                                                         add_activation,  add_activation,
                                                         add_arithmetic,  add_arithmetic,
                                                         add_concat,      add_batch_normalization,
                                                         add_lrn,         add_resize,
                                                         add_pad,         add_slice,
                                                         add_mean,        add_shuffle,
                                                         add_global_pool, add_softmax,
                                                         add_split};

static void add_input(random_network *network) {
  model_builder *b = network->builder;
  int64_t *dims = network->input;
  dims[0] = 1;
  dims[1] = chance(network, 40) ? 3 : choose_channels(network, 1);
  dims[2] = chance(network, 15) ? 1 : between(network, 1, 22);
  dims[3] = chance(network, 15) ? 1 : between(network, 1, 22);
  network_value *x = next_value(network, dims[1], dims[2], dims[3]);
  if (network->late) {
    builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){-1, dims[1], -1, -1});
    builder_input(b, "starts", NORMA_INT64, 1, (int64_t[]){2});
    builder_input(b, "ends", NORMA_INT64, 1, (int64_t[]){2});
    builder_ints64(b, "axes", 1, (int64_t[]){2}, (int64_t[]){2, 3});
    builder_node(b, "Slice", "x starts ends axes", x->name);
  } else {
    snprintf(x->name, sizeof x->name, "x");
    builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){-1, dims[1], dims[2], dims[3]});
  }
  keep(network, x, "input");
}

void random_network_make(random_network *network, uint64_t seed, int nodes, bool late) {
  *network = (random_network){.seed = seed * 0x9E3779B97F4A7C15u + 88172645463325252u, .late = late};
  network->builder = builder_create(13);
  for (int i = 0; i < 8; i++) between(network, 0, 1);
  add_input(network);
  for (int attempts = 0; (int)network->value_count <= nodes && attempts < 20 * nodes; attempts++) {
    size_t from = network->value_count - 1; /* mostly a chain */
    if (chance(network, 25)) from = (size_t)between(network, 0, (int64_t)from);
    makers[between(network, 0, (int64_t)(sizeof makers / sizeof *makers) - 1)](network, &network->values[from]);
  }
  const network_value *last = &network->values[network->value_count - 1];
  if (chance(network, 30) && dims_product(last->dims, 0, 3) < 3000) {
    add_head(network, last);
  } else {
    builder_node(network->builder, "Identity", last->name, "y");
  }
  builder_output(network->builder, "y", NORMA_FLOAT, -1, NULL);
  for (size_t i = 1; i + 1 < network->value_count; i++) {
    if (chance(network, 15)) builder_output(network->builder, network->values[i].name, NORMA_FLOAT, -1, NULL);
  }
}

void random_network_free(random_network *network) {
  builder_destroy(network->builder);
  network->builder = NULL;
}
