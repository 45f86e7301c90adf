/* What passes over quantised models look for: tensors of 8-bit integers behind DequantizeLinear and QuantizeLinear. */
#ifndef ENGINE_PASSES_QUANTIZATION_PATTERN_H
#define ENGINE_PASSES_QUANTIZATION_PATTERN_H

#include "engine/passes/pass_helpers.h"

/* Integers q that stand for (q - zero) * scale. Scale and zero point are constants, the scale float, finite and above
 * 0. */
typedef struct quantized {
  graph_value *q;     /* of QuantizeLinear, its output */
  graph_value *scale; /* one element, or those of `axis` */
  graph_value *zero;  /* NULL: 0 */
  norma_element_type type;
  bool is_single;
  int64_t axis; /* as the node says, where not single */
} quantized;

/* Whether the node is DequantizeLinear or QuantizeLinear of 8-bit integers (or int32, to dequantise) and float, neither
 * in blocks nor with another precision. */
bool node_dequantizes(const node *node, quantized *source);
bool node_quantizes(const node *node, quantized *result);
/* Whether input `index` of `reader` comes from such a DequantizeLinear of its graph. */
bool input_is_dequantized(const node *reader, int index, quantized *source);

/* Of operators of integers: tensor `input` with its one scale and zero point, the inputs behind it; and output 0 with
 * those that are inputs from scale_input on. */
bool node_reads_integers(const node *node, int input, quantized *of);
bool node_writes_integers(const node *node, int scale_input, quantized *of);

/* Whether both have one scale and one zero point, of the same type and value. */
bool quantized_equal(const quantized *a, const quantized *b);
/* Scale and zero point of position i. */
double quantized_scale_at(const quantized *of, int64_t i);
int64_t quantized_zero_at(const quantized *of, int64_t i);
/* The integer that stands for a float, rounded and limited; `of` is single. */
int64_t quantized_number(const quantized *of, double number);

/* Gives *of a zero point where it has none. */
norma_status quantized_add_zero(pass_context *context, graph *graph, quantized *of);

#endif
