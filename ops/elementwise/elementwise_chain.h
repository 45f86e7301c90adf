/*
 * The little program that an ElementwiseChain runs: what the pass fuse_elementwise writes and the operator reads.
 *
 * Each step computes one function of one or two operands: inputs of the node, or results of earlier steps. The last
 * step makes the output. A node carries its program as the list attribute `program`, five numbers a step.
 */
#ifndef OPS_ELEMENTWISE_ELEMENTWISE_CHAIN_H
#define OPS_ELEMENTWISE_ELEMENTWISE_CHAIN_H

#include "ops/operator.h"

#define CHAIN_OPERATOR       "ElementwiseChain"
#define CHAIN_MOST_STEPS     32
#define CHAIN_MOST_INPUTS    12
#define CHAIN_MOST_REGISTERS 6 /* results that are kept at a time */

enum chain_step_kind { CHAIN_UNARY, CHAIN_BINARY, CHAIN_PRELU };

/* Operands: 0 and up are inputs, -1 and below the results of steps 0 and up. */
typedef struct chain_step {
  enum chain_step_kind kind;
  struct activation unary; /* CHAIN_UNARY */
  enum binary_kind binary; /* CHAIN_BINARY */
  int x, z;                /* z: second operand of CHAIN_BINARY, slope of CHAIN_PRELU */
} chain_step;

typedef struct chain_program {
  int count;
  chain_step steps[CHAIN_MOST_STEPS];
} chain_program;

/* The result of step `index` as an operand, and back. */
static inline int chain_result(int index) {
  return -1 - index;
}

static inline int chain_operand_count(const chain_step *step) {
  return step->kind == CHAIN_UNARY ? 1 : 2;
}

/* Chooses a register for the result of each step but the last; the number that is needed, or -1 where that is more than
 * CHAIN_MOST_REGISTERS. `registers` has an entry for each step. */
int chain_assign_registers(const chain_program *program, int *registers);

/* Whether the node is such a one. */
bool is_elementwise_chain(const node *node);

/* Between program and attribute. false: out of memory; no program that this build can run. */
bool chain_program_write(const chain_program *program, node *node);
bool chain_program_read(const node *node, chain_program *program);

#endif
