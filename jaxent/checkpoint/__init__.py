"""Files to trees and back: weights, PEFT adapters, training state."""
