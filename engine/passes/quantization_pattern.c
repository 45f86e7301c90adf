#include "engine/passes/quantization_pattern.h"

#include <math.h>

#define QUANTIZED_TYPES (TYPE_BIT(NORMA_INT8) | TYPE_BIT(NORMA_UINT8))
#define SCALE_LEAST     1e-30 /* products with integers of 8 bits have all their digits in this range */
#define SCALE_MOST      1e30

/* The operator of that name, of ai.onnx or of com.microsoft, which have the same meaning. */
static bool node_is_quantization(const node *node, const char *op_type) {
  return node->op && strcmp(node->op_type, op_type) == 0 &&
         (node->domain[0] == '\0' || strcmp(node->domain, "com.microsoft") == 0);
}

/* From these inputs of the node. */
static bool find_scale_at(const node *node, int scale_input, int zero_input, quantized *of) {
  const norma_tensor *scale = node_constant_input(node, scale_input), *zero = node_constant_input(node, zero_input);
  if (!scale || !scale->data || scale->type != NORMA_FLOAT) return false;
  if (node_has_input(node, zero_input) && (!zero || !zero->data)) return false;
  const int64_t count = norma_tensor_count(scale);
  if (zero && (norma_tensor_count(zero) != count || zero->type != of->type)) return false;
  if (count == 0 || (count > 1 && scale->rank != 1)) return false;
  for (int64_t i = 0; i < count; i++) {
    const double number = element_get_double(scale->type, scale->data, i);
    if (!(number >= SCALE_LEAST && number <= SCALE_MOST)) return false;
  }
  of->scale = node->inputs[scale_input];
  of->zero = node_has_input(node, zero_input) ? node->inputs[zero_input] : NULL;
  of->is_single = count == 1;
  return true;
}

static bool find_scale(const node *node, quantized *of) {
  of->axis = attribute_int(node, "axis", 1);
  return attribute_int(node, "block_size", 0) == 0 && find_scale_at(node, 1, 2, of);
}

bool node_reads_integers(const node *node, int input, quantized *of) {
  of->q = node->inputs[input];
  if (!of->q || !value_is_of(of->q, QUANTIZED_TYPES)) return false;
  of->type = of->q->info.type;
  return find_scale_at(node, input + 1, input + 2, of) && of->is_single;
}

bool node_writes_integers(const node *node, int scale_input, quantized *of) {
  of->q = node->outputs[0];
  if (!of->q || !value_is_of(of->q, QUANTIZED_TYPES)) return false;
  of->type = of->q->info.type;
  return find_scale_at(node, scale_input, scale_input + 1, of) && of->is_single;
}

bool node_dequantizes(const node *node, quantized *source) {
  if (!node_is_quantization(node, "DequantizeLinear") || !node_has_one_output(node)) return false;
  if (!value_is_of(node->inputs[0], QUANTIZED_TYPES | TYPE_BIT(NORMA_INT32))) return false;
  if (!value_is(node->outputs[0], NORMA_FLOAT)) return false;
  source->q = node->inputs[0];
  source->type = node->inputs[0]->info.type;
  return find_scale(node, source);
}

bool node_quantizes(const node *node, quantized *result) {
  if (!node_is_quantization(node, "QuantizeLinear") || !node_has_one_output(node)) return false;
  if (!value_is(node->inputs[0], NORMA_FLOAT) || !value_is_of(node->outputs[0], QUANTIZED_TYPES)) return false;
  if (attribute_int(node, "precision", NORMA_FLOAT) != NORMA_FLOAT) return false;
  result->q = node->outputs[0];
  result->type = node->outputs[0]->info.type;
  return find_scale(node, result);
}

bool input_is_dequantized(const node *reader, int index, quantized *source) {
  if (!node_has_input(reader, index)) return false;
  const node *producer = reader->inputs[index]->producer;
  return producer && producer->graph == reader->graph && node_dequantizes(producer, source);
}

/* ---------------------------------------------------------------------------------------------------------- numbers */

double quantized_scale_at(const quantized *of, int64_t i) {
  const norma_tensor *scale = &of->scale->constant->tensor;
  return element_get_double(scale->type, scale->data, of->is_single ? 0 : i);
}

int64_t quantized_zero_at(const quantized *of, int64_t i) {
  if (!of->zero) return 0;
  const norma_tensor *zero = &of->zero->constant->tensor;
  return element_get_int64(zero->type, zero->data, of->is_single ? 0 : i);
}

bool quantized_equal(const quantized *a, const quantized *b) {
  return a->is_single && b->is_single && a->type == b->type && quantized_scale_at(a, 0) == quantized_scale_at(b, 0) &&
         quantized_zero_at(a, 0) == quantized_zero_at(b, 0);
}

int64_t quantized_number(const quantized *of, double number) {
  const double low = of->type == NORMA_INT8 ? INT8_MIN : 0, high = low + 255;
  const double quotient = (double)((float)number / (float)quantized_scale_at(of, 0));
  const double rounded = rint(quotient) + (double)quantized_zero_at(of, 0);
  return rounded > low ? rounded < high ? (int64_t)rounded : (int64_t)high : (int64_t)low;
}

norma_status quantized_add_zero(pass_context *context, graph *graph, quantized *of) {
  const norma_tensor *scale = &of->scale->constant->tensor;
  const shape shape = shape_make(scale->rank, scale->dims);
  value contents;
  if (of->zero) return NORMA_OK;
  TRY(value_allocate_tensor(graph->memory, &contents, of->type, &shape, context->error));
  memset(contents.tensor.data, 0, contents.tensor.size_bytes);
  return pass_add_constant(context, graph, of->scale->name, &contents, &of->zero);
}
