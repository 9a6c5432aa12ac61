"""How ONNX Runtime is to run a policy, where it is served and where it is tried after its conversion."""

import os

import onnxruntime


def session_options() -> onnxruntime.SessionOptions:
    """Returns options for one thread and for a model that is one file."""
    options = onnxruntime.SessionOptions()
    # A policy takes microseconds: handing it to a pool costs more than it saves, and spinning starves the rest.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Tensors kept in other files would be read from the working directory, keys too; from here nothing can be.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    options.log_severity_level = 3
    return options
