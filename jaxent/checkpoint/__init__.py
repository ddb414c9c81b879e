"""Files to trees and back: Hugging Face weights, PEFT adapters, training state."""
